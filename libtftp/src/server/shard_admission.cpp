#include "server/shard_admission.hpp"

#include <cstdint>
#include <utility>

namespace tftp {

result<admission::permit> shard_admission::admit(const incoming_request& a) {
    admission& counts = context_.admission;
    openings_.give_up_stale(a.now);
    if (counts.owed_by(a.who.peer, a.now) == destination_budget::state::silent) {
        return make_error_code(errc::too_fast);
    }
    const std::size_t half_open = runner_.transfers().half_open().size() + openings_.size();
    if (half_open >= context_.config().limits.half_open_max) {
        evict(a.who.peer, a.now);
    }
    const bool beside = runner_.transfers().holder_of(a.who) != nullptr;
    auto permit = counts.admit(a.who.peer, a.now, beside);
    const bool room = permit || (permit.error() == errc::overloaded && evict(a.who.peer, a.now)) ||
                      (permit.error() == errc::client_overloaded && evict_own(a.who.peer, a.now));
    return permit || !room ? std::move(permit) : counts.admit(a.who.peer, a.now, beside);
}

bool shard_admission::may_answer(const incoming_request& a) {
    admission& counts = context_.admission;
    if (counts.owed_by(a.who.peer, a.now) == destination_budget::state::silent) {
        return false;
    }
    const auto permit = counts.admit(a.who.peer, a.now);
    return permit || permit.error() != errc::too_fast;
}

reason shard_admission::why_unanswered(const incoming_request& a) const noexcept {
    const auto owed = context_.admission.owed_by(a.who.peer, a.now);
    return owed == destination_budget::state::silent ? reason::unacknowledged : reason::client_pace;
}

bool shard_admission::evict(const endpoint& asking, time_point now) noexcept {
    auto& half_open = runner_.transfers().half_open();
    const std::uint64_t first = context_.random();
    server_transfer* const own = half_open.oldest_of(asking);
    server_transfer* const chosen =
        own != nullptr ? own : half_open.one_of_two(first, context_.random());
    if (chosen == nullptr) {
        return false;
    }
    runner_.drop(*chosen, errc::crowded_out, now);
    return true;
}

/// The same within one client. Returns false when it has nothing that may go.
bool shard_admission::evict_own(const endpoint& asking, time_point now) noexcept {
    if (server_transfer* const own = runner_.transfers().half_open().oldest_of(asking)) {
        runner_.drop(*own, errc::crowded_out, now);
        return true;
    }
    return openings_.evict_one_of(asking, now);
}

} // namespace tftp
