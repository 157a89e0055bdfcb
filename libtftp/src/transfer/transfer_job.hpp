#pragma once

#include <tftp/runtime/thread_pool.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstdint>
#include <memory>
#include <new>
#include <utility>

/// What a transfer has done in another thread.
namespace tftp {

class job_slot;

/// A job of a transfer, while it is away. It knows its transfer as long as that lives.
class transfer_job : public blocking_job {
public:
    ~transfer_job() override { static_cast<void>(forget_owner()); }

    /// Parts the two; returns the transfer, if it had not ended.
    [[nodiscard]] transfer* forget_owner() noexcept;

protected:
    transfer_job(job_slot& slot, std::uint64_t lane, job_length length) noexcept;

private:
    job_slot* slot_;
};

/// The place of the job that a transfer has away, one at a time, and the host that takes it there.
class job_slot {
public:
    /// host: null when the transfer does everything itself.
    job_slot(transfer& owner, transfer_host* host) noexcept : owner_(owner), host_(host) {}

    job_slot(const job_slot&) = delete;
    job_slot& operator=(const job_slot&) = delete;

    ~job_slot() {
        if (job_ != nullptr) {
            static_cast<void>(job_->forget_owner());
        }
    }

    [[nodiscard]] transfer_host* host() const noexcept { return host_; }

    /// Returns true while a job is away.
    [[nodiscard]] bool occupied() const noexcept { return job_ != nullptr; }

    /// Hands over a `Job` made of this and `arguments`. Returns false when the pool takes no more
    /// now, or memory is out. Precondition: there is a host, and no job is away.
    template <class Job, class... Arguments>
    [[nodiscard]] bool submit(queueing how, Arguments&&... arguments) noexcept {
        std::unique_ptr<Job> made(new (std::nothrow)
                                      Job(*this, std::forward<Arguments>(arguments)...));
        return made && host_->offload(std::move(made), how);
    }

private:
    friend class transfer_job;

    transfer& owner_;
    transfer_host* host_;
    /// Owned by the pool while it runs.
    transfer_job* job_ = nullptr;
};

inline transfer_job::transfer_job(job_slot& slot, std::uint64_t lane, job_length length) noexcept
    : blocking_job(lane, length), slot_(&slot) {
    slot.job_ = this;
}

inline transfer* transfer_job::forget_owner() noexcept {
    job_slot* const slot = std::exchange(slot_, nullptr);
    if (slot == nullptr) {
        return nullptr;
    }
    slot->job_ = nullptr;
    return &slot->owner_;
}

/// A job that works on the file of its transfer, a source or a sink. It keeps the file; when the
/// transfer has ended meanwhile, what is left of a file that may wait goes back to the pool.
template <class File>
class file_job : public transfer_job {
public:
    void done() noexcept final {
        if (transfer* const owner = forget_owner()) {
            deliver();
            host_.resumed(*owner);
        } else {
            host_.release(file_);
        }
    }

protected:
    file_job(
        job_slot& slot, const std::shared_ptr<File>& file, job_length length = job_length::brief
    ) noexcept
        : transfer_job(slot, file->lane(), length), host_(*slot.host()), file_(file) {}

    [[nodiscard]] File& file() const noexcept { return *file_; }

    /// Gives the file up where it may wait: in run(), last.
    void close() noexcept { file_.reset(); }

private:
    /// Hands what it brought to its transfer, which still exists.
    virtual void deliver() noexcept = 0;

    transfer_host& host_;
    std::shared_ptr<File> file_;
};

} // namespace tftp
