#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/events.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace tftp {

/// A transfer is known by both addresses; the same client may ask two of ours.
struct transfer_key {
    endpoint peer;
    endpoint local;

    friend bool operator==(const transfer_key&, const transfer_key&) = default;
};

struct transfer_key_hash {
    /// One that strangers cannot guess.
    std::uint64_t seed;

    [[nodiscard]] std::size_t operator()(const transfer_key& key) const noexcept {
        return static_cast<std::size_t>(mix(key.local, mix(key.peer, seed)));
    }
};

/// One request on its way to becoming a transfer.
///
/// Lifetime: the port outlives it; `request` borrows `datagram`, which borrows what was read.
struct incoming_request {
    datagram_socket& port;
    /// What it was sent to, as the port reports it: the source of an answer.
    endpoint to;
    bytes_view datagram;
    transfer_key who;
    request_view request;
    time_point now;
    /// How long it had waited to be read.
    duration waited{};
};

/// Returns what a request does.
[[nodiscard]] inline transfer_direction direction_of(const request_view& request) noexcept {
    return request.op == opcode::wrq ? transfer_direction::write : transfer_direction::read;
}

/// Returns a request as whoever hears of events gets it. rule: the one that decided, empty before.
[[nodiscard]] inline request_event
event_of(const incoming_request& a, std::string_view rule = {}) noexcept {
    return {
        a.who.peer, a.who.local, direction_of(a.request), a.request.filename, a.request.mode, rule};
}

/// Tells requests apart, and copies of one from it.
[[nodiscard]] inline std::uint64_t digest(bytes_view datagram) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(datagram.data()), datagram.size());
    return std::hash<std::string_view>()(text);
}

/// Returns the address that a message on `port` was sent to: what its sender knows of us.
[[nodiscard]] inline endpoint
local_of(const datagram_socket& port, const received& message) noexcept {
    const endpoint bound = port.local_endpoint();
    return message.to.family == address_family::none ? bound : message.to.with_port(bound.port);
}

} // namespace tftp
