#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tftp::bench {

/// User and system time of this process, of all threads.
[[nodiscard]] std::chrono::microseconds cpu_time() noexcept;

/// What the transfers of a run came to.
struct tally {
    std::uint64_t completed = 0;
    /// Ended in another way, for one of `reasons`.
    std::uint64_t failed = 0;
    /// Of these: an octet or the size was not that of the content.
    std::uint64_t wrong = 0;
    std::map<std::string, std::uint64_t> reasons{};
    /// Bytes and blocks of downloads compared, or of uploads acknowledged; each once.
    std::uint64_t octets = 0;
    std::uint64_t blocks = 0;
    /// DATA of a block that was there already.
    std::uint64_t blocks_twice = 0;
    /// DATA behind a gap, not kept.
    std::uint64_t blocks_early = 0;
    /// DATA of an upload sent again.
    std::uint64_t blocks_again = 0;
    std::uint64_t acks_again = 0;
    std::uint64_t requests_again = 0;
    /// The smallest that any server agreed to; 0 before the first answer.
    std::uint32_t blksize = 0;
    std::uint32_t windowsize = 0;
    /// From the first request of a transfer to its first DATA (uploads: first answer), and its end.
    std::vector<std::chrono::microseconds> first_block{};
    std::vector<std::chrono::microseconds> completion{};
    /// From one block of a transfer to the next, where the plan asks for it.
    std::vector<std::chrono::microseconds> waits{};

    void agreed(std::uint32_t with_blksize, std::uint32_t with_windowsize) noexcept;
};

/// The tally as one line of JSON. Sorts the latencies.
[[nodiscard]] std::string
to_json(tally& counts, std::chrono::microseconds wall, std::chrono::microseconds cpu);

} // namespace tftp::bench
