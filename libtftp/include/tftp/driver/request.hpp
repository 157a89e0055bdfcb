#pragma once

#include <tftp/engine/config.hpp>
#include <tftp/io/datagram_port.hpp>
#include <tftp/wire/endpoint.hpp>
#include <tftp/wire/error.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>
#include <tftp/wire/time.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace tftp::io {

/// What a transfer did, seen from the client: an RRQ reads, a WRQ writes.
enum class verb : std::uint8_t { read, write };

/// What a client asks a server for. Used by the blocking and the asynchronous front alike.
struct request {
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

/// How a transfer ended, and what it took.
struct transfer_summary {
    io::verb verb = verb::read;
    endpoint peer;
    endpoint local;
    /// As the request named it: escape before logging.
    std::string filename;
    transfer_mode mode = transfer_mode::octet;
    /// The options of our own request as they went out: without any after falling back, and a read
    /// asks for no larger window than its receive buffer holds. Empty at a server.
    offer asked;
    parameters agreed;
    engine_counters counters;
    duration elapsed{};
    /// Smoothed, of the sender of DATA; empty when it was not measured.
    std::optional<duration> round_trip;
    /// Success, or why it failed: category "tftp.peer" when the peer said so.
    error_code outcome;
    /// Why the system refused to send a datagram, the last time it did: a firewall of this machine,
    /// no route. The transfer went on as after any loss.
    error_code send_error;
    /// Text of the peer's ERROR, unescaped; empty without one.
    std::string peer_text;
    /// A valid answer of the peer came, if only an ERROR.
    bool answered = false;
};

/// Returns the receive buffer that holds one window of `agreed`, in octets.
[[nodiscard]] std::size_t receive_buffer_for(const parameters& agreed) noexcept;

/// Returns how many blocks of `blksize` octets fit a receive buffer that `port` was granted: the
/// window worth asking for. At least 1, at most 32767.
[[nodiscard]] std::uint16_t
window_that_fits(const datagram_port& port, std::uint16_t blksize) noexcept;

/// Returns true when `ended` is a server's refusal of the options of `asked`, so that asking again
/// without any is worth it. RFC 2347.
[[nodiscard]] bool may_fall_back(const request& asked, const transfer_summary& ended) noexcept;

/// Returns what to tell of a request that was refused with its options and then made without any:
/// `plain`, but with the ERROR of `refused` when nothing answered the plain one.
[[nodiscard]] transfer_summary
after_falling_back(transfer_summary refused, transfer_summary plain) noexcept;

/// Returns when a request that starts at `now` has to be over; `time_point::max()` without a limit.
[[nodiscard]] time_point last_moment(const request& asked, time_point now) noexcept;

} // namespace tftp::io
