#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace tftp {

/// What bytes of a `memory_budget` are for.
enum class budget_use : std::uint8_t {
    /// Blocks that the pool reads, until they are sent.
    reading,
    /// Blocks on their way to a remote sink.
    writing,
    /// Small writes collected for a local one, to the end of the upload.
    collecting,
    /// Windows of converted text, to the end of the transfer.
    netascii,
};

/// Bytes in memory that all transfers of a server may take together. Thread-safe.
///
/// Each use takes at most half of them, and never more than it leaves to others; of a use that
/// waits for disks, neither does each disk. So what is slow, or has stalled, stops only itself.
/// Where nobody has taken anything, one may take all.
class memory_budget {
public:
    /// Has `bytes_max` bytes to give. Throws std::bad_alloc.
    explicit memory_budget(std::size_t bytes_max);

    memory_budget(const memory_budget&) = delete;
    memory_budget& operator=(const memory_budget&) = delete;
    ~memory_budget() = default;

    /// Takes `bytes`; returns false, and takes none, when so many are not left for that use.
    ///
    /// lane: what they wait for, as `thread_pool` has it; 0 for nothing.
    [[nodiscard]] bool take(std::size_t bytes, budget_use use, std::uint64_t lane) noexcept;

    /// Gives back what was taken for the same use and lane.
    void give_back(std::size_t bytes, budget_use use, std::uint64_t lane) noexcept;

    /// Returns what it had at the start.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// Returns what is left, for all uses together.
    [[nodiscard]] std::size_t left() const noexcept;

private:
    static constexpr std::size_t uses = 4;

    struct user {
        budget_use use;
        std::uint64_t lane;
        std::size_t taken;
    };

    [[nodiscard]] user* find(budget_use use, std::uint64_t lane) noexcept;

    const std::size_t capacity_;
    mutable std::mutex mutex_;
    std::size_t left_;
    std::array<std::size_t, uses> taken_{};
    /// Those that have taken anything.
    std::vector<user> users_;
};

/// Bytes taken from a `memory_budget`, given back at the end.
///
/// Lifetime: the budget outlives it.
class budget_share {
public:
    budget_share() = default;

    /// Takes `bytes` of `from`, or none; see `held`. One that wants more than there ever is waits
    /// until it can have all of it, so that a small budget slows down what it cannot stop.
    budget_share(
        memory_budget& from, std::size_t bytes, budget_use use, std::uint64_t lane = 0
    ) noexcept
        : bytes_(std::min(bytes, from.capacity())), lane_(lane), use_(use) {
        from_ = from.take(bytes_, use_, lane_) ? &from : nullptr;
    }

    budget_share(budget_share&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)),
          bytes_(other.bytes_),
          lane_(other.lane_),
          use_(other.use_) {}

    budget_share& operator=(budget_share&& other) noexcept {
        std::swap(from_, other.from_);
        std::swap(bytes_, other.bytes_);
        std::swap(lane_, other.lane_);
        std::swap(use_, other.use_);
        return *this;
    }

    ~budget_share() {
        if (from_ != nullptr) {
            from_->give_back(bytes_, use_, lane_);
        }
    }

    /// Gives back all but `bytes`.
    void shrink(std::size_t bytes) noexcept {
        if (from_ != nullptr && bytes < bytes_) {
            from_->give_back(bytes_ - bytes, use_, lane_);
            bytes_ = bytes;
        }
    }

    /// Returns true when the bytes were there to take.
    [[nodiscard]] bool held() const noexcept { return from_ != nullptr; }

private:
    memory_budget* from_ = nullptr;
    std::size_t bytes_ = 0;
    std::uint64_t lane_ = 0;
    budget_use use_ = budget_use::reading;
};

} // namespace tftp
