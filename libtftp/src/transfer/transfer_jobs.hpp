#pragma once

#include "transfer/unicast_transfer.hpp"

#include <tftp/runtime/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include <sys/uio.h>

/// What a transfer has done in other threads. A transfer has one job at a time. The job knows its
/// transfer as long as that lives, and keeps the file until then; what is left of a file that may
/// wait goes back to the pool.
namespace tftp {

/// How long a transfer waits for a buffer or a pool thread before it looks again.
inline constexpr auto blocked_wait = std::chrono::seconds(1);

/// What is known of a job while it is away.
class unicast_transfer::job : public blocking_job {
public:
    ~job() override { static_cast<void>(forget_owner()); }

    /// Parts the two; returns the transfer, if it had not ended.
    [[nodiscard]] unicast_transfer* forget_owner() noexcept {
        if (owner_ != nullptr) {
            owner_->job_ = nullptr;
        }
        return std::exchange(owner_, nullptr);
    }

protected:
    job(unicast_transfer& owner, std::uint64_t lane, job_length length) noexcept
        : blocking_job(lane, length), owner_(&owner) {
        owner.job_ = this;
    }

private:
    unicast_transfer* owner_;
};

/// What the jobs share. `File` is a source or a sink.
template <class File>
class unicast_transfer::file_job : public job {
public:
    void done() noexcept final {
        if (unicast_transfer* const owner = forget_owner()) {
            deliver(*owner);
            host_.resumed(*owner);
        } else {
            host_.release(file_);
        }
    }

protected:
    file_job(
        unicast_transfer& owner,
        const std::shared_ptr<File>& file,
        job_length length = job_length::brief
    ) noexcept
        : job(owner, file->lane(), length), host_(*owner.host_), file_(file) {}

    [[nodiscard]] File& file() const noexcept { return *file_; }

    /// Gives the file up where it may wait: in run(), last.
    void close() noexcept { file_.reset(); }

private:
    /// Hands what it brought to its transfer.
    virtual void deliver(unicast_transfer& owner) noexcept = 0;

    transfer_host& host_;
    std::shared_ptr<File> file_;
};

/// Reads what the page cache does not hold.
class unicast_transfer::cold_read final : public file_job<source> {
public:
    /// share: of `wanted.size` bytes.
    cold_read(unicast_transfer& owner, budget_share share, const extent& wanted) noexcept
        : file_job(owner, owner.source_), wanted_(wanted.size) {
        result_.share = std::move(share);
        result_.offset = wanted.offset;
    }

    void run() noexcept override {
        result_.bytes.reset(new (std::nothrow) std::byte[wanted_]);
        if (!result_.bytes) {
            result_.error = make_error_code(boost::system::errc::not_enough_memory);
            return;
        }
        const ::iovec gap{result_.bytes.get(), wanted_};
        const auto outcome = file().read(result_.offset, {&gap, 1});
        if (outcome) {
            result_.outcome = *outcome;
        } else {
            result_.error = outcome.error();
        }
    }

private:
    void deliver(unicast_transfer& owner) noexcept override {
        owner.cold_ = std::move(result_);
        if (!owner.cold_.error) {
            const bytes_view bytes(owner.cold_.bytes.get(), owner.cold_.outcome.bytes);
            owner.source_->keep(owner.cold_.offset, bytes);
        }
    }

    std::size_t wanted_;
    cold_read_result result_;
};

/// Stores where that may wait.
class unicast_transfer::write_job final : public file_job<sink> {
public:
    /// reserve: bytes announced, if they are to be reserved first.
    write_job(
        unicast_transfer& owner, write_batch batch, std::optional<std::uint64_t> reserve
    ) noexcept
        : file_job(owner, owner.sink_), batch_(std::move(batch)), reserve_(reserve) {}

    void run() noexcept override {
        if (reserve_) {
            outcome_ = file().reserve(*reserve_);
        }
        if (!outcome_ && !batch_.bytes.empty()) {
            const ::iovec payload{batch_.bytes.data(), batch_.bytes.size()};
            outcome_ = file().write(*batch_.offset, {&payload, 1});
        }
    }

private:
    void deliver(unicast_transfer& owner) noexcept override { owner.sink_outcome_ = outcome_; }

    write_batch batch_;
    std::optional<std::uint64_t> reserve_;
    error_code outcome_;
};

/// Puts an upload in its place.
class unicast_transfer::commit_job final : public file_job<sink> {
public:
    explicit commit_job(unicast_transfer& owner) noexcept
        : file_job(owner, owner.sink_, job_length::lasting) {}

    void run() noexcept override {
        outcome_ = file().commit();
        close();
    }

private:
    void deliver(unicast_transfer& owner) noexcept override { owner.sink_outcome_ = outcome_; }

    error_code outcome_;
};

/// Returns false when the pool takes no more now, or memory is out.
template <class Job, class... Arguments>
bool unicast_transfer::hand_over(queueing how, Arguments&&... arguments) noexcept {
    std::unique_ptr<Job> made(new (std::nothrow) Job(*this, std::forward<Arguments>(arguments)...));
    return made && host_->offload(std::move(made), how);
}

} // namespace tftp
