#include "server/duplicate_filter.hpp"

#include <chrono>
#include <new>

namespace tftp {

namespace {

using std::chrono::milliseconds;

/// How long after the opening the same request is taken for a copy: the client's timer repeats it
/// when ours repeats the answer, so the two may cross on the way.
constexpr auto repeat_window = std::chrono::seconds(1);

/// How long a transfer must not have moved before another request is answered: whoever is served
/// meanwhile hears nothing of a forged one. Longer than a round trip on most paths.
constexpr auto doubt = milliseconds(100);

/// The same for the request that began it: nothing but the time tells a copy of it from a machine
/// that has started again. Longer than a device takes to store a block.
constexpr auto doubt_of_copy = milliseconds(750);

/// The same when there is only one pair of TIDs for both, so that the old transfer must go before
/// the new one begins: on the wire nothing could tell them apart. Longer than a device takes to
/// erase what it is going to write.
constexpr auto doubt_of_replacement = milliseconds(2000);

} // namespace

bool duplicate_filter::absorb(const incoming_request& a) noexcept {
    if (openings_.contains(a.who)) {
        const bool absorbed = openings_.absorb(a);
        if (absorbed) {
            context_.drop(reason::repeated, a.who.peer, a.who.local);
        }
        return absorbed;
    }
    // What the peer had sent before comes first. It may have been the last ACK, of one that has the
    // same port again.
    const auto known = runner_.transfers().of(a.who);
    for (server_transfer* const t : known) {
        static_cast<void>(runner_.poll_again(*t, a.now));
    }
    for (server_transfer* const t : known) {
        if (!t->closed() && repeats(*t, a)) {
            return true;
        }
    }
    server_transfer* const old = runner_.transfers().holder_of(a.who);
    return old != nullptr && !may_begin_beside(a, *old);
}

/// Returns true when `a` only repeats the request of `t`.
bool duplicate_filter::repeats(server_transfer& t, const incoming_request& a) noexcept {
    // Identical after the first ACK as well, when it came so soon: a copy that the network held up,
    // or our own queue, since no machine starts again that fast.
    const bool young = a.now - a.waited - t.opening_at < repeat_window;
    if ((!t.opening() && !young) || t.request_digest != digest(a.datagram)) {
        return false;
    }
    context_.drop(reason::repeated, a.who.peer, a.who.local);
    runner_.on_repeated_request(t, a.now);
    return true;
}

/// Returns false when `a` has to wait, or is forgotten.
bool duplicate_filter::may_begin_beside(const incoming_request& a, server_transfer& old) noexcept {
    if (old.committing()) {
        // Its file decides how it ends; a client that means it asks again.
        context_.drop(reason::committing, a.who.peer, a.who.local);
        return false;
    }
    runner_.note_silence(old, a.now);
    const bool copy = old.request_digest == digest(a.datagram);
    if (waits_for(a, old, copy ? doubt_of_copy : doubt)) {
        return false;
    }
    if (old.rival != nullptr) {
        runner_.drop(*old.rival, errc::superseded, a.now);
    }
    if (ports_.has_other_pair(a)) {
        return true;
    }
    if (waits_for(a, old, doubt_of_replacement)) {
        return false;
    }
    runner_.drop(old, errc::superseded, a.now);
    return true;
}

/// Holds `a` until `old` has not moved for `quiet`; returns false when that is so.
bool duplicate_filter::waits_for(
    const incoming_request& a, const server_transfer& old, duration quiet
) noexcept {
    // One that only repeats its last ACK has nothing more to show.
    const time_point due = old.completed() ? a.now : old.marked_at + quiet;
    if (due <= a.now) {
        return false;
    }
    hold(a, due);
    return true;
}

void duplicate_filter::hold(const incoming_request& a, time_point due) noexcept {
    try {
        held_.add(
            {&a.port,
             a.who.peer,
             a.who.local,
             a.to,
             {a.datagram.begin(), a.datagram.end()},
             a.now,
             due}
        );
    } catch (const std::bad_alloc&) {
        // Its client asks again.
    }
}

std::optional<held_request> duplicate_filter::take_due(time_point now) noexcept {
    while (auto held = held_.take_due(now)) {
        if (!has_gone_on(*held, now)) {
            return held;
        }
        context_.drop(reason::overtaken, held->peer, held->asked);
    }
    return std::nullopt;
}

/// Returns true when the client of a request was there after it came: the request was not its own,
/// or came late.
bool duplicate_filter::has_gone_on(const held_request& held, time_point now) noexcept {
    server_transfer* const old = runner_.transfers().holder_of({held.peer, held.asked});
    if (old == nullptr) {
        return false;
    }
    static_cast<void>(runner_.poll_again(*old, now));
    return old->counters().bytes != old->marked_bytes || old->marked_at > held.arrived;
}

} // namespace tftp
