#pragma once

#include <tftp/driver/admission.hpp>
#include <tftp/driver/transfer.hpp>
#include <tftp/io/blocking_pool.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <sys/uio.h>

/// What a transfer has done in other threads. A job knows its transfer as long as that lives, and
/// keeps the file until then; what is left of a file that may wait goes back to the pool.
namespace tftp::io {

/// Reads what the page cache does not hold.
class transfer::cold_read final : public blocking_job {
public:
    cold_read(transfer& owner, std::uint64_t offset, std::size_t wanted) noexcept
        : blocking_job(owner.source_->lane()),
          owner_(&owner),
          host_(*owner.host_),
          source_(owner.source_),
          wanted_(wanted) {
        result_.share = budget_share(host_.buffers(), wanted);
        result_.offset = offset;
    }

    /// Returns false when there is no memory for it now.
    [[nodiscard]] bool ready() const noexcept { return result_.share.held(); }

    ~cold_read() override {
        if (owner_ != nullptr) {
            owner_->reading_ = nullptr;
        }
    }

    void run() noexcept override {
        result_.octets.reset(new (std::nothrow) std::byte[wanted_]);
        if (!result_.octets) {
            result_.error = make_error_code(boost::system::errc::not_enough_memory);
            return;
        }
        const ::iovec gap{result_.octets.get(), wanted_};
        const auto outcome = source_->read(result_.offset, {&gap, 1});
        if (outcome) {
            result_.outcome = *outcome;
        } else {
            result_.error = outcome.error();
        }
    }

    void done() noexcept override {
        if (transfer* const owner = std::exchange(owner_, nullptr)) {
            owner->take_cold_octets(*this);
            host_.resumed(*owner);
        } else if (source_->remote()) {
            const std::uint64_t lane = source_->lane();
            host_.dispose(std::move(source_), lane);
        }
    }

    void forget_owner() noexcept { owner_ = nullptr; }

    [[nodiscard]] cold_octets& octets() noexcept { return result_; }

private:
    transfer* owner_;
    transfer_host& host_;
    std::shared_ptr<source> source_;
    std::size_t wanted_;
    cold_octets result_;
};

/// What has to be stored where that may wait.
class transfer::write_job final : public blocking_job {
public:
    /// room: octets it may have to hold.
    write_job(transfer& owner, std::size_t room) noexcept
        : blocking_job(owner.sink_->lane()),
          owner_(&owner),
          host_(*owner.host_),
          sink_(owner.sink_),
          share_(host_.buffers(), room) {}

    ~write_job() override {
        if (owner_ != nullptr) {
            owner_->writing_ = nullptr;
        }
    }

    /// Returns false when there is no memory for it now.
    [[nodiscard]] bool ready() const noexcept { return share_.held(); }

    /// Returns true when there is something to store, if only an end.
    [[nodiscard]] bool needed() const noexcept { return offset_.has_value(); }

    /// Returns false when memory is out.
    [[nodiscard]] bool add(std::uint64_t offset, bytes_view payload) noexcept {
        if (!offset_) {
            offset_ = offset;
        }
        try {
            octets_.insert(octets_.end(), payload.begin(), payload.end());
            return true;
        } catch (const std::bad_alloc&) {
            return false;
        }
    }

    /// Nothing is added any more. reserve: octets announced, if they are to be reserved first.
    void seal(std::optional<std::uint64_t> reserve) noexcept {
        reserve_ = reserve;
        share_.shrink(octets_.size());
    }

    void run() noexcept override {
        if (reserve_) {
            outcome_ = sink_->reserve(*reserve_);
        }
        if (!outcome_ && !octets_.empty()) {
            const ::iovec payload{octets_.data(), octets_.size()};
            outcome_ = sink_->write(*offset_, {&payload, 1});
        }
    }

    void done() noexcept override {
        if (transfer* const owner = std::exchange(owner_, nullptr)) {
            owner->writing_ = nullptr;
            owner->write_outcome_ = outcome_;
            host_.resumed(*owner);
        } else {
            const std::uint64_t lane = sink_->lane();
            host_.dispose(std::move(sink_), lane);
        }
    }

    void forget_owner() noexcept { owner_ = nullptr; }

private:
    transfer* owner_;
    transfer_host& host_;
    std::shared_ptr<sink> sink_;
    budget_share share_;
    std::optional<std::uint64_t> offset_;
    std::optional<std::uint64_t> reserve_;
    std::vector<std::byte> octets_;
    error_code outcome_;
};

/// Puts an upload in its place.
class transfer::commit_job final : public blocking_job {
public:
    explicit commit_job(transfer& owner) noexcept
        : blocking_job(owner.sink_->lane()),
          owner_(&owner),
          host_(*owner.host_),
          sink_(owner.sink_) {}

    ~commit_job() override {
        if (owner_ != nullptr) {
            owner_->committing_ = nullptr;
        }
    }

    void run() noexcept override { outcome_ = sink_->commit(); }

    void done() noexcept override {
        if (transfer* const owner = std::exchange(owner_, nullptr)) {
            owner->committing_ = nullptr;
            owner->commit_outcome_ = outcome_;
            host_.resumed(*owner);
        } else if (sink_->remote()) {
            const std::uint64_t lane = sink_->lane();
            host_.dispose(std::move(sink_), lane);
        }
    }

    void forget_owner() noexcept { owner_ = nullptr; }

private:
    transfer* owner_;
    transfer_host& host_;
    std::shared_ptr<sink> sink_;
    error_code outcome_;
};

} // namespace tftp::io
