#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace tftp {

/// What a client asks a server for. Used by the blocking and the asynchronous front alike.
struct client_request {
    /// The server; port 69 unless it listens elsewhere. RFC 1350 s.4.
    endpoint server;
    /// As it stands in the packet: not empty, no NUL, and it must fit with all options in 512
    /// octets.
    std::string filename;
    transfer_mode mode = transfer_mode::octet;
    /// Options to ask for. For a write, tsize is filled in from the source.
    offer options;
    /// When the server answers the options with ERROR 0, 4 or 8, ask once more without any
    /// (RFC 2347).
    bool fall_back = true;
    engine_config engine;
    /// How windows leave (a write).
    segmentation sends = segmentation::gso;
    /// Most bytes that a read may store: a larger announced size ends it with `errc::too_large`
    /// before any content comes, and so does the first byte beyond. 0: no limit.
    std::uint64_t size_max_bytes = 0;
    /// Longest time from the start to the outcome, asking again without options included; then it
    /// ends with `errc::out_of_time`, however well it moves. Empty: no limit.
    std::optional<duration> time_max{};
};

/// Returns the options that suit a read or a write on a route of `blksize` octets per block:
/// blksize, a window of 64 or as many as make up 256 KiB, tsize 0.
[[nodiscard]] offer default_offer(std::uint16_t blksize) noexcept;

/// Returns true when `ended` is a server's refusal of the options of `asked`, so that asking again
/// without any is worth it. RFC 2347.
[[nodiscard]] bool
may_fall_back(const client_request& asked, const transfer_summary& ended) noexcept;

/// Returns what to tell of a request that was refused with its options and then made without any:
/// `plain`, but with the ERROR of `refused` when nothing answered the plain one.
[[nodiscard]] transfer_summary
after_falling_back(transfer_summary refused, transfer_summary plain) noexcept;

/// Returns when a request that starts at `now` has to be over; `time_point::max()` without a limit.
[[nodiscard]] time_point last_moment(const client_request& asked, time_point now) noexcept;

} // namespace tftp
