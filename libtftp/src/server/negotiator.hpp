#pragma once

#include "server/admitted_request.hpp"
#include "server/incoming_request.hpp"
#include "server/shard_context.hpp"

#include <tftp/content/provider.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/route_table.hpp>
#include <tftp/wire/options.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace tftp {

/// Decides what a request is granted: the options of RFC 2347 within what the policy, the route,
/// the port and the client's debts allow, and how patiently its opening is sent.
///
/// Not thread-safe.
class negotiator {
public:
    /// Lifetime: borrowed.
    explicit negotiator(shard_context& context) noexcept : context_(context) {}

    /// Returns what the content is asked for `a`. Lifetime: borrows both.
    [[nodiscard]] static content_request
    content_for(const incoming_request& a, const grant& granted) noexcept;

    /// Returns the answer to an RRQ for content of `size` bytes, before it has a port.
    [[nodiscard]] answer answer_read(
        const incoming_request& a, const verdict& decided, std::optional<std::uint64_t> size
    ) noexcept;
    /// Bounds `answered` by what may leave through its port until something is acknowledged: its
    /// source may be forged, and the ACK that makes the first window leave, too.
    void bound_read(
        const incoming_request& a,
        const verdict& decided,
        bool port_is_lent,
        std::optional<std::uint64_t> size,
        answer& answered
    ) noexcept;

    /// Returns the answer to a WRQ, before it has a port.
    [[nodiscard]] answer answer_write(const incoming_request& a, const verdict& decided) noexcept;
    /// Bounds the window of `answered` by what the receive buffer of `port` holds. stored_slowly:
    /// what comes while a disk is written would not wait in a port that others read.
    void bound_write(
        const incoming_request& a,
        const verdict& decided,
        const datagram_socket& port,
        bool port_is_lent,
        bool stored_slowly,
        answer& answered
    ) noexcept;

    /// Returns the engine of a new transfer, when `half_open` others are half open.
    [[nodiscard]] engine_config engine_for(
        const incoming_request& a, const verdict& decided, std::size_t half_open
    ) const noexcept;

private:
    [[nodiscard]] option_limits
    limits_for(const incoming_request& a, const verdict& decided) noexcept;
    [[nodiscard]] bool owes(const incoming_request& a) const noexcept;

    shard_context& context_;
    route_table routes_;
};

} // namespace tftp
