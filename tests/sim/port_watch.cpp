#include <algorithm>
#include <sim/port_watch.hpp>
#include <variant>

namespace tftp::sim {

namespace {

template <class View>
bool is(bytes_view octets) {
    const auto packet = decode(octets);
    return packet && std::holds_alternative<View>(*packet);
}

/// OACK, ACK 0 or DATA 1.
bool answers_request(bytes_view octets) {
    const auto packet = decode(octets);
    if (!packet) {
        return false;
    }
    const auto* const ack = std::get_if<ack_view>(&*packet);
    const auto* const data = std::get_if<data_view>(&*packet);
    return std::holds_alternative<oack_view>(*packet) || (ack != nullptr && ack->block == 0) ||
           (data != nullptr && data->block == 1);
}

bool is_refusal_of_stranger(bytes_view octets) {
    const auto packet = decode(octets);
    const auto* const error = packet ? std::get_if<error_view>(&*packet) : nullptr;
    return error != nullptr && error->code == peer_errc::unknown_transfer_id;
}

} // namespace

wire_watch* port_watch::running(const endpoint& peer) noexcept {
    const auto found = all_.find(peer);
    return found == all_.end() || found->second.over() ? nullptr : &found->second;
}

std::vector<endpoint> port_watch::peers() const {
    std::vector<endpoint> known;
    if (use_ == port_use::exclusive && only_.peer().family != address_family::none) {
        known.push_back(only_.peer());
    }
    for (const auto& [peer, watch] : all_) {
        if (!watch.over() && !watch.doubtful()) {
            known.push_back(peer);
        }
    }
    // The order of the table differs between libraries.
    std::ranges::sort(known, {}, [](const endpoint& e) { return std::pair(e.address, e.port); });
    return known;
}

void port_watch::on_sent(
    const endpoint& to, bytes_view octets, wire_watch::cause why, time_point now
) {
    if (use_ == port_use::exclusive) {
        only_.on_sent(to, octets, why, now);
        return;
    }
    if (use_ == port_use::requests) {
        require(is<error_view>(octets), "no ERROR, but it leaves from the port of requests");
        return;
    }
    if (is_refusal_of_stranger(octets)) {
        on_refused_stranger(to);
        return;
    }
    wire_watch& from = sender_of(to, octets, now);
    if (from.over()) {
        from.check_patience(now);
    }
    while (!from.explains(octets) && hand_over_next(from, to)) {
    }
    // A request that is repeated has its answer repeated.
    from.on_sent(to, octets, asks(to) ? wire_watch::cause::other : why, now);
}

void port_watch::on_refused_stranger(const endpoint& to) {
    const auto owed = std::ranges::find(strangers_, to);
    require(owed != strangers_.end(), "an ERROR 5 that nobody asked for");
    if (owed != strangers_.end()) {
        strangers_.erase(owed);
    }
    const wire_watch* const known = running(to);
    require(known == nullptr || known->doubtful(), "an ERROR 5 for the peer of a transfer");
}

/// Returns true when a request of `peer` was read and may have been acted on.
bool port_watch::asks(const endpoint& peer) const {
    return std::ranges::find(asked_, peer) != asked_.end();
}

/// Returns the transfer that sends `octets`: one that is over repeats its last ACK, no more.
wire_watch& port_watch::sender_of(const endpoint& to, bytes_view octets, time_point now) {
    const auto found = all_.find(to);
    const bool answers = answers_request(octets) && (asks(to) || is<oack_view>(octets));
    if (found != all_.end() && !(found->second.doubtful() && answers) &&
        (!found->second.over() || found->second.is_last_ack(octets))) {
        return found->second;
    }
    // What came before its request was for the one before.
    const auto asked = std::ranges::find_if(batch_, [&to](const heard& each) {
        return each.from == to && is<request_view>(each.octets);
    });
    if (asked != batch_.end()) {
        batch_.erase(
            std::remove_if(
                batch_.begin(), asked, [&to](const heard& each) { return each.from == to; }
            ),
            asked
        );
    }
    wire_watch fresh(rules_, *judge_, now);
    if (refuses_) {
        fresh.doubt();
    }
    return all_.insert_or_assign(to, fresh).first->second;
}

/// Returns true when the program may not take all that it has read of `peer` as one run: something
/// else was read between, a request or what another peer sent.
bool port_watch::is_interrupted(const endpoint& peer) const {
    const bool before = std::ranges::find(batch_, peer, &heard::from) != batch_.end();
    const bool others = std::ranges::any_of(batch_, [&peer](const heard& each) {
        return each.from != peer || is<request_view>(each.octets);
    });
    return before && (others || !asked_.empty());
}

bool port_watch::next_is_request(const endpoint& peer) const {
    const auto next = std::ranges::find(batch_, peer, &heard::from);
    return next != batch_.end() && is<request_view>(next->octets);
}

/// Returns false when nothing of `peer` is left.
bool port_watch::hand_over_next(wire_watch& to, const endpoint& peer) {
    const auto next = std::ranges::find(batch_, peer, &heard::from);
    if (next == batch_.end()) {
        return false;
    }
    to.on_received(next->from, next->octets, next->at);
    batch_.erase(next);
    return true;
}

void port_watch::hand_over_all(wire_watch& to, const endpoint& peer) {
    while (hand_over_next(to, peer)) {
    }
}

void port_watch::on_acted() {
    while (!batch_.empty()) {
        const endpoint peer = batch_.front().from;
        if (wire_watch* const to = running(peer)) {
            hand_over_all(*to, peer);
        }
        std::erase_if(batch_, [&peer](const heard& each) { return each.from == peer; });
    }
    asked_.clear();
    strangers_.clear();
}

void port_watch::on_request(const endpoint& from) noexcept {
    if (use_ == port_use::exclusive && only_.peer() == from) {
        only_.on_request();
    }
}

void port_watch::on_received(const endpoint& from, bytes_view octets, time_point now) {
    if (use_ == port_use::exclusive) {
        only_.on_received(from, octets, now);
        return;
    }
    const auto packet = decode(octets);
    if (use_ == port_use::requests || !packet) {
        return;
    }
    wire_watch* const heard_by = running(from);
    if (std::holds_alternative<request_view>(*packet)) {
        asked_.push_back(from);
        if (heard_by != nullptr) {
            heard_by->on_request();
        }
    }
    const auto* const ack = std::get_if<ack_view>(&*packet);
    // Behind something else that was read, an ACK may fit what the program sends meanwhile.
    if (ack == nullptr || heard_by == nullptr || heard_by->may_take(*ack) || is_interrupted(from)) {
        batch_.push_back({from, {octets.begin(), octets.end()}, now});
    }
    if (!std::holds_alternative<error_view>(*packet)) {
        strangers_.push_back(from);
    }
}

void port_watch::on_held_up() noexcept {
    only_.on_held_up();
    on_refused();
}

/// What was refused counts as sent, and the first of a transfer tells whose port it is.
void port_watch::on_refused() noexcept {
    refuses_ = true;
    for (auto& [peer, watch] : all_) {
        watch.doubt();
    }
}

const wire_watch* port_watch::on_outcome(const endpoint& peer, bool success, time_point now) {
    if (use_ == port_use::exclusive) {
        require(!only_.over(), "a transfer ends twice");
        only_.on_outcome(success, now);
        return &only_;
    }
    wire_watch* const ended = running(peer);
    if (ended == nullptr) {
        require(!success || refuses_, "a transfer of which nothing was seen ends well");
        return nullptr;
    }
    // What was read behind its end, as behind the request that took its place, is the next one's.
    while (success ? !ended->complete() : !next_is_request(peer)) {
        if (!hand_over_next(*ended, peer)) {
            break;
        }
    }
    if (!success && !ended->heard() && ended->asked_again()) {
        ended->doubt();
        return nullptr;
    }
    // Before that, each request that is repeated begins the opening anew.
    if (ended->heard()) {
        ended->on_close(now);
    }
    ended->on_outcome(success, now);
    return ended;
}

void port_watch::on_close(time_point now) {
    if (use_ == port_use::exclusive) {
        only_.on_close(now);
        return;
    }
    require(peers().empty(), "a port is closed in the middle of a transfer");
    all_ = {};
    batch_ = {};
    asked_ = {};
    strangers_ = {};
}

} // namespace tftp::sim
