#pragma once

#include <tftp/engine/config.hpp>
#include <tftp/server/limits.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tftp {

/// How transfers get their ports: the TIDs of RFC 1350 s.4.
enum class tid_mode : std::uint8_t {
    /// A fresh ephemeral port for each. Beyond `limits::exclusive_ports_max`, and when the system
    /// gives none, as pooled.
    exclusive,
    /// Fresh ephemeral ports that transfers of different peers share.
    pooled,
    /// The port that took the request: for networks that let no other through.
    single,
};

/// How a `service` answers.
struct service_config {
    option_limits options;
    /// Grant no blksize whose DATA would be fragmented on the route to the client.
    bool blksize_auto = true;
    engine_config engine;
    /// `half_open_max` and `requests_per_second` of this shard alone; the others are those of
    /// `shard_dependencies::admission`, when there is one.
    tftp::limits limits;
    segmentation sends = segmentation::gso;
    tid_mode tids = tid_mode::exclusive;
    /// Ports among which the one of a transfer is chosen in exclusive mode: what a stranger has to
    /// guess. The default is the system's ephemeral range.
    std::size_t ports_to_guess = 28232;
    /// The same of the ports that transfers share, of all threads together.
    std::size_t shared_ports_to_guess = 64;
    /// A window is no larger than what may leave for an address that may be forged: see
    /// `unproven_window`. False: the administrator has said how large it may be.
    bool bound_windows = true;
    /// The same for blksize.
    bool bound_blksize = true;
};

/// Largest windowsize through ports that transfers share.
inline constexpr std::uint16_t shared_window_max = 16;

/// Returns how many bytes of DATA may leave for an address that has acknowledged none, counted on
/// an Ethernet, when a stranger has to guess one of `ports` ports to draw them with a forged ACK.
///
/// Such an ACK takes 46 bytes, and on average half of the ports are tried, so a stranger draws less
/// than 100 times what he sends with one port, 50 times with 64, 5 times with 1,000 and twice with
/// 28,232; between these the bound lies between theirs.
[[nodiscard]] constexpr std::size_t unproven_bytes(std::size_t ports) noexcept {
    struct point {
        std::size_t ports;
        std::size_t bytes;
    };

    constexpr std::array points{
        point{1, 12'400}, point{64, 73'000}, point{1'000, 112'000}, point{28'232, 1'270'000}};
    for (std::size_t i = 1; i < points.size(); ++i) {
        const auto& [before, least] = points[i - 1];
        const auto& [after, most] = points[i];
        if (ports <= after) {
            const std::size_t beyond = std::max(ports, before) - before;
            return least + (most - least) * beyond / (after - before);
        }
    }
    return points.back().bytes;
}

/// What a block of DATA takes on an Ethernet beside its payload.
inline constexpr std::size_t block_overhead = 14 + 20 + 8 + header_size;

/// Blocks that a sender repeats, at most, before one is acknowledged: a whole window, and so many
/// when that is less.
inline constexpr std::size_t unproven_repeats = 7;

/// Returns the largest windowsize of a read that keeps to `bytes` from `unproven_bytes`, >= 1.
[[nodiscard]] constexpr std::size_t
unproven_window(std::size_t bytes, std::size_t blksize) noexcept {
    const std::size_t blocks = bytes / (blksize + block_overhead);
    return blocks >= 2 * unproven_repeats
               ? blocks / 2
               : std::max(blocks, unproven_repeats + 1) - unproven_repeats;
}

/// Returns the largest blksize that keeps to `bytes` with a windowsize of 1.
[[nodiscard]] constexpr std::size_t unproven_block(std::size_t bytes) noexcept {
    return bytes / (1 + unproven_repeats) - block_overhead;
}

} // namespace tftp
