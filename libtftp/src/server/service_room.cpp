#include "server/service_internal.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

/// Who gets a place, how much at first, and who makes room.
namespace tftp {

namespace {

/// Openings are sent this often when there are many: clients that mean it ask again, and a forged
/// address gets less.
constexpr std::uint8_t crowded_sends = 2;

/// They are waited for no less because of that: the last of thousands that boot at once may come to
/// its answer late.
constexpr std::chrono::duration<std::uint16_t> crowded_patience(10);

/// How often requests are looked through whose file is being opened.
constexpr auto stale_interval = std::chrono::seconds(1);

} // namespace

result<admission::permit> service::admit(const incoming_request& a) {
    drop_stale_openings(a.now);
    if (admission_.owed_by(a.who.peer, a.now) == destination_budget::state::silent) {
        return make_error_code(errc::too_fast);
    }
    if (half_open_.size() + opening_.size() >= config_.limits.half_open_max) {
        static_cast<void>(evict(a.who.peer, a.now));
    }
    const bool beside = holder_of(a.who) != nullptr;
    auto place = admission_.admit(a.who.peer, a.now, beside);
    const bool room = place || (place.error() == errc::overloaded && evict(a.who.peer, a.now)) ||
                      (place.error() == errc::client_overloaded && evict_own(a.who.peer, a.now));
    return place || !room ? std::move(place) : admission_.admit(a.who.peer, a.now, beside);
}

/// Gives up requests whose file is not open after as long as a silent client is borne: whoever
/// asked has gone, and their disk may never answer.
void service::drop_stale_openings(time_point now) noexcept {
    if (now < stale_at_) {
        return;
    }
    stale_at_ = now + stale_interval;
    std::erase_if(opening_, [&](const auto& entry) {
        open_job& job = *entry.second;
        if (now - job.since() < config_.engine.give_up) {
            return false;
        }
        report(job.resumed(now), errc::stalled);
        job.cancel();
        return true;
    });
}

/// Evicts a transfer whose client has acknowledged nothing yet. This is the oldest transfer of the
/// client that asks, if it has one. Otherwise it is the older of two chosen at random: a flood
/// cannot choose its victims, and a client that was answered a moment ago has time to reply.
/// Returns false when there is no such transfer.
bool service::evict(const endpoint& asking, time_point now) noexcept {
    const std::uint64_t first = random_();
    server_transfer* const own = half_open_.oldest_of(asking);
    server_transfer* const chosen = own != nullptr ? own : half_open_.one_of_two(first, random_());
    if (chosen == nullptr) {
        return false;
    }
    evict(*chosen, now);
    return true;
}

/// The same within one client. Returns false when it has nothing that may go.
bool service::evict_own(const endpoint& asking, time_point now) noexcept {
    if (server_transfer* const own = half_open_.oldest_of(asking)) {
        evict(*own, now);
        return true;
    }
    const auto own = std::ranges::find_if(opening_, [&asking](const auto& each) {
        return each.first.peer.same_host(asking);
    });
    if (own == opening_.end()) {
        return false;
    }
    report(own->second->resumed(now), errc::crowded_out);
    own->second->cancel();
    opening_.erase(own);
    return true;
}

void service::evict(server_transfer& s, time_point now) noexcept {
    s.drop(errc::crowded_out, memory_, now);
    update(s, now);
}

/// Descriptors or memory are short.
void service::make_room(const incoming_request& a) noexcept {
    cache_.clear([this](auto file) { close_file(std::move(file)); });
    static_cast<void>(evict(a.who.peer, a.now));
}

engine_config service::engine_for_new(const incoming_request& a) const noexcept {
    engine_config engine = config_.engine;
    const bool owes = admission_.owed_by(a.who.peer, a.now) != destination_budget::state::free;
    if (owes || half_open_.size() > config_.limits.half_open_max / 8) {
        engine.opening_sends =
            std::min<std::uint8_t>(engine.opening_sends, owes ? 1 : crowded_sends);
        engine.opening_patience = crowded_patience;
    }
    return engine;
}

/// Returns what a read may get until it has acknowledged something: its source may be forged, and
/// the ACK that makes the first window leave, too.
option_limits service::bounds_for(
    const incoming_request& a, const opened_port& at, option_limits limits, const parameters& agreed
) const noexcept {
    const bool owes = admission_.owed_by(a.who.peer, a.now) != destination_budget::state::free;
    const bool single = config_.tids == tid_mode::single;
    const std::size_t lent = single ? 1 : config_.shared_ports_to_guess;
    const std::size_t bytes = unproven_bytes(at.lent == nullptr ? config_.ports_to_guess : lent);
    limits.blksize = std::min(limits.blksize, agreed.blksize);
    limits.windowsize = std::min(limits.windowsize, agreed.windowsize);
    if (config_.bound_blksize) {
        const std::size_t block = unproven_block(bytes);
        limits.blksize = static_cast<std::uint16_t>(std::min<std::size_t>(limits.blksize, block));
    }
    if (config_.bound_windows) {
        const std::size_t most = at.lent == nullptr ? limits.windowsize : shared_window_max;
        const std::size_t blocks = std::min(unproven_window(bytes, limits.blksize), most);
        limits.windowsize =
            static_cast<std::uint16_t>(std::min<std::size_t>(limits.windowsize, blocks));
    }
    limits.windowsize = owes ? std::uint16_t{1} : limits.windowsize;
    return limits;
}

} // namespace tftp
