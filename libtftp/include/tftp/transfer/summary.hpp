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

/// Whose failure ended a transfer.
enum class failing_side : std::uint8_t {
    /// Nobody's: it went well.
    none,
    /// What was to be sent or stored here: a file, a source, a sink.
    content,
    /// The network, or the way to it; a peer that fell silent; a name without an address.
    network,
    /// The peer: it said so by an ERROR, or broke the protocol.
    peer,
    /// A rule, a limit or an order of this side: it was stopped, it took too long, it was too
    /// large.
    own,
};

/// Returns whose failure `outcome` is.
///
/// of_content: it is what the source or the sink answered, which a code of the system does not
/// show.
[[nodiscard]] failing_side side_of(const error_code& outcome, bool of_content) noexcept;

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
    /// Whose failure `outcome` is.
    failing_side failed = failing_side::none;
    /// Why the system refused to send a datagram, the last time it did: a firewall of this machine,
    /// no route. The transfer went on as after any loss.
    error_code send_error;
    /// Text of the peer's ERROR, unescaped; empty without one.
    std::string peer_text;
    /// A valid answer of the peer came, if only an ERROR.
    bool answered = false;
};

} // namespace tftp
