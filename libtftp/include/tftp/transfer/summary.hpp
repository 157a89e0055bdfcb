#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace tftp {

/// What a transfer did, seen from the client: an RRQ reads, a WRQ writes.
enum class transfer_direction : std::uint8_t { read, write };

/// How a transfer ended, and what it took.
struct transfer_summary {
    transfer_direction verb = transfer_direction::read;
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

} // namespace tftp
