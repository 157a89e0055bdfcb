#pragma once

#include "server/incoming_request.hpp"
#include "server/open_queue.hpp"
#include "server/port_allocator.hpp"
#include "server/server_transfer.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/time.hpp>
#include <tftp/server/held_requests.hpp>

#include <optional>

namespace tftp {

/// A second request from the address and port of a transfer: a copy that came late, one that
/// somebody else has forged, or a client that has started again. It ends nothing. When the transfer
/// goes on the request is forgotten; else both live, until the newer one was answered.
///
/// Not thread-safe.
class duplicate_filter {
public:
    /// held: requests that wait. Lifetime: all are borrowed.
    duplicate_filter(
        shard_context& context,
        held_requests& held,
        transfer_runner& runner,
        open_queue& openings,
        const port_allocator& ports
    ) noexcept
        : context_(context), held_(held), runner_(runner), openings_(openings), ports_(ports) {}

    /// Returns true when `a` is done with: it repeats what is under way, or waits, or is forgotten.
    [[nodiscard]] bool absorb(const incoming_request& a) noexcept;

    /// Takes out a request that has waited long enough; empty when there is none, or when its
    /// client has gone on with its transfer.
    [[nodiscard]] std::optional<held_request> take_due(time_point now) noexcept;

private:
    [[nodiscard]] bool repeats(server_transfer& t, const incoming_request& a) noexcept;
    [[nodiscard]] bool may_begin_beside(const incoming_request& a, server_transfer& old) noexcept;
    [[nodiscard]] bool
    waits_for(const incoming_request& a, const server_transfer& old, duration quiet) noexcept;
    void hold(const incoming_request& a, time_point due) noexcept;
    [[nodiscard]] bool has_gone_on(const held_request& held, time_point now) noexcept;

    shard_context& context_;
    held_requests& held_;
    transfer_runner& runner_;
    open_queue& openings_;
    const port_allocator& ports_;
};

} // namespace tftp
