#pragma once

#include "server/incoming_request.hpp"
#include "server/open_queue.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/transfer/events.hpp>

namespace tftp {

/// Admits requests to a shard. Where a bound is reached, transfers whose client has acknowledged
/// nothing yet make room, so that a flood of forged requests shuts nobody out.
///
/// Not thread-safe.
class shard_admission {
public:
    /// Lifetime: all are borrowed.
    shard_admission(shard_context& context, transfer_runner& runner, open_queue& openings) noexcept
        : context_(context), runner_(runner), openings_(openings) {}

    /// Counts a new request, if there is room for it or room can be made. Errors: as
    /// `admission::admit`; `errc::too_fast` for a client that has acknowledged nothing of much,
    /// too. Throws std::bad_alloc.
    [[nodiscard]] result<admission::permit> admit(const incoming_request& a);

    /// Counts a request that is going to be refused; nobody makes room for it. Returns false when
    /// its client asks too fast, or has acknowledged nothing of much: it gets no answer. Throws
    /// std::bad_alloc.
    [[nodiscard]] bool may_answer(const incoming_request& a);

    /// Returns why a client that asks gets no answer.
    [[nodiscard]] reason why_unanswered(const incoming_request& a) const noexcept;

    /// Evicts a transfer whose client has acknowledged nothing yet. This is the oldest transfer of
    /// the client that asks, if it has one. Otherwise it is the older of two chosen at random: a
    /// flood cannot choose its victims, and a client that was answered a moment ago has time to
    /// reply. Returns false when there is no such transfer.
    bool evict(const endpoint& asking, time_point now) noexcept;

private:
    [[nodiscard]] bool evict_own(const endpoint& asking, time_point now) noexcept;

    shard_context& context_;
    transfer_runner& runner_;
    open_queue& openings_;
};

} // namespace tftp
