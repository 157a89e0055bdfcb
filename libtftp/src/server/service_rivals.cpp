#include "server/service_internal.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <span>
#include <utility>
#include <variant>

/// A second request from the address and port of a transfer: a copy that came late, one that
/// somebody else has forged, or a client that has started again. It ends nothing. When the transfer
/// goes on the request is forgotten; else both live, until the newer one was answered.
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

/// How long a request is waited for whose file is being opened, before another one may take its
/// place.
constexpr auto opening_patience = milliseconds(2000);

} // namespace

/// Returns the transfer that holds the port of a client; null when there is none.
service::server_transfer* service::holder_of(const key& who) const noexcept {
    const auto [first, last] = transfers_.equal_range(who);
    const auto found =
        std::find_if(first, last, [](const auto& each) { return each.second->holder == nullptr; });
    return found == last ? nullptr : found->second.get();
}

/// Has a transfer that was just made wait for the place of the one before it.
void service::tie(server_transfer& rival, server_transfer* old, time_point now) noexcept {
    if (old == nullptr) {
        return;
    }
    if (server_transfer* const before = old->rival) {
        before->drop(errc::superseded, memory_, now);
        update(*before, now);
    }
    old->rival = &rival;
    rival.holder = old;
}

void service::untie(server_transfer& s) noexcept {
    if (s.rival != nullptr) {
        s.rival->holder = nullptr;
    }
    if (s.holder != nullptr) {
        s.holder->rival = nullptr;
    }
    s.rival = nullptr;
    s.holder = nullptr;
    if (held_.size() != 0 && s.counters().bytes != s.marked_octets) {
        // Its client was there after the request came.
        held_.forget(s.who.peer, s.who.local);
    }
}

/// A half-open transfer was looked at: it may have been answered.
void service::note_answer(server_transfer& s, time_point now) noexcept {
    if (s.opening()) {
        s.opening_at = now;
        if (!s.closed()) {
            return;
        }
    }
    if (!s.opening() && !s.failed() && s.holder != nullptr) {
        server_transfer& old = *s.holder;
        untie(old);
        // No ERROR: it would hit the new transfer.
        old.drop(errc::superseded, memory_, now);
        update(old, now);
    }
    const bool acknowledged = s.acknowledged() && !s.failed();
    if (!acknowledged && !s.closed()) {
        return;
    }
    half_open_.remove(s.half_open);
    if (!acknowledged) {
        charge(s, now);
    } else if (s.charged != 0) {
        admission_.credit(s.who.peer, s.charged);
    }
}

/// Notes what its client was sent and has not acknowledged.
void service::charge(server_transfer& s, time_point now) noexcept {
    // Openings are counted more generously than the DATA that follows them.
    if (const std::uint64_t sent = s.bytes_sent(); sent > s.charged) {
        admission_.charge(s.who.peer, sent - s.charged, now);
        s.charged = sent;
    }
}

/// Its timer has fired: notes how far it has come, and what its client owes.
void service::note_silence(server_transfer& s, time_point now) noexcept {
    if (const std::uint64_t octets = s.counters().bytes; octets != s.marked_octets) {
        s.marked_octets = octets;
        s.marked_at = now;
    }
    if (s.half_open.linked()) {
        charge(s, now);
    }
}

/// Returns true when `a` is done with: it repeats what is under way, or waits, or is forgotten.
bool service::absorb_duplicate(const incoming_request& a) noexcept {
    if (opening_.contains(a.who)) {
        return opens_already(a);
    }
    // What the peer had sent before comes first. It may have been the last ACK, of one that has the
    // same port again.
    std::array<server_transfer*, 2> known{};
    std::size_t count = 0;
    for (auto [at, last] = transfers_.equal_range(a.who); at != last; ++at) {
        known[count++] = at->second.get();
    }
    for (server_transfer* const s : std::span(known).first(count)) {
        static_cast<void>(poll_again(*s, a.now));
    }
    for (server_transfer* const s : std::span(known).first(count)) {
        if (!s->closed() && repeats(*s, a)) {
            return true;
        }
    }
    server_transfer* const old = holder_of(a.who);
    return old != nullptr && !may_begin_beside(a, *old);
}

/// The file of an earlier request from there is being opened.
bool service::opens_already(const incoming_request& a) noexcept {
    const auto found = opening_.find(a.who);
    open_job& job = *found->second;
    if (job.same_request(a.datagram) || a.now - job.since() < opening_patience) {
        return true;
    }
    // Its disk may never answer, and who waits for it has changed its mind.
    job.cancel();
    opening_.erase(found);
    return false;
}

/// Returns true when `a` only repeats the request of `s`.
bool service::repeats(server_transfer& s, const incoming_request& a) noexcept {
    // Identical after the first ACK as well, when it came so soon: a copy that the network held up,
    // or our own queue, since no machine starts again that fast.
    const bool young = a.now - a.waited - s.opening_at < repeat_window;
    if ((!s.opening() && !young) || s.request_digest != digest(a.datagram)) {
        return false;
    }
    s.on_repeated_request(memory_, a.now);
    update(s, a.now);
    return true;
}

/// Returns false when `a` has to wait, or is forgotten.
bool service::may_begin_beside(const incoming_request& a, server_transfer& old) noexcept {
    if (old.committing()) {
        // Its file decides how it ends; a client that means it asks again.
        return false;
    }
    note_silence(old, a.now);
    const bool copy = old.request_digest == digest(a.datagram);
    if (waits_for(a, old, copy ? doubt_of_copy : doubt)) {
        return false;
    }
    if (old.rival != nullptr) {
        server_transfer& before = *old.rival;
        before.drop(errc::superseded, memory_, a.now);
        update(before, a.now);
    }
    if (has_other_pair(a)) {
        return true;
    }
    if (waits_for(a, old, doubt_of_replacement)) {
        return false;
    }
    old.drop(errc::superseded, memory_, a.now);
    update(old, a.now);
    return true;
}

/// Holds `a` until `old` has not moved for `quiet`; returns false when that is so.
bool service::waits_for(
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

void service::hold(const incoming_request& a, time_point due) noexcept {
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

/// Decides about requests that have waited long enough.
void service::take_held(time_point now) noexcept {
    while (const auto held = held_.take_due(now)) {
        const key who{held->peer, held->asked};
        server_transfer* const old = holder_of(who);
        if (old != nullptr) {
            static_cast<void>(poll_again(*old, now));
            if (old->counters().bytes != old->marked_octets || old->marked_at > held->arrived) {
                // Its client is there: the request was not its own, or came late.
                continue;
            }
        }
        const auto packet = decode(held->datagram);
        const incoming_request a{
            *held->port,
            held->to,
            held->datagram,
            who,
            std::get<request_view>(*packet),
            now,
            now - held->arrived};
        take(a);
    }
}

} // namespace tftp
