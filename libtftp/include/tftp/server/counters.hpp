#pragma once

#include <tftp/transfer/events.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tftp {

/// A number that one thread counts up and any thread may read, without a lock.
class relaxed_counter {
public:
    /// Counts. In the thread that owns it only.
    void add(std::uint64_t more = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }

    /// Returns the sum. Any thread.
    [[nodiscard]] std::uint64_t get() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_ = 0;
};

/// What a server has counted since it began.
struct server_counts {
    /// Requests that were well formed and no repeats.
    std::uint64_t requests = 0;
    /// Transfers that began, and those that ended well and badly.
    std::uint64_t started = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    /// Of content, of transfers that have ended.
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    /// DATA, ACK or OACK sent again, of transfers that have ended.
    std::uint64_t retransmissions = 0;
    /// What was thrown away or refused, by `reason`.
    std::array<std::uint64_t, reasons> dropped{};

    /// Returns how often `why` was the reason.
    [[nodiscard]] std::uint64_t of(reason why) const noexcept {
        return dropped[static_cast<std::size_t>(why)];
    }

    /// Adds the counts of another shard.
    server_counts& operator+=(const server_counts& other) noexcept;
};

/// The counters of a shard. Its thread counts; any thread may read, each number by itself.
struct shard_counters {
    relaxed_counter requests;
    relaxed_counter started;
    relaxed_counter succeeded;
    relaxed_counter failed;
    relaxed_counter bytes_sent;
    relaxed_counter bytes_received;
    relaxed_counter retransmissions;
    std::array<relaxed_counter, reasons> dropped;

    /// Counts something that was thrown away or refused.
    void count(reason why) noexcept { dropped[static_cast<std::size_t>(why)].add(); }

    /// Returns the numbers of now. Any thread.
    [[nodiscard]] server_counts read() const noexcept;
};

} // namespace tftp
