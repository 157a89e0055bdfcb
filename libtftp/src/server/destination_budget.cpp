#include "server/shrink_table.hpp"

#include <tftp/server/destination_budget.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>

namespace tftp {

namespace {

/// All of a /64 are one: whoever has one of its addresses has them all.
[[nodiscard]] endpoint destination_of(const endpoint& peer) noexcept {
    endpoint all = peer.with_port(0);
    if (all.family == address_family::ipv6) {
        std::fill(all.address.begin() + 8, all.address.end(), std::uint8_t{0});
    }
    return all;
}

/// Longer than this forgives everything; the product below could overflow.
constexpr auto forgiven_wholly = std::chrono::hours(1);

} // namespace

std::uint64_t destination_budget::account::level_at(time_point now) const noexcept {
    if (now <= charged) {
        return level;
    }
    if (now - charged >= forgiven_wholly) {
        return 0;
    }
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - charged);
    const auto forgiven = static_cast<std::uint64_t>(passed.count()) * forgiven_per_second / 1000;
    return level - std::min(level, forgiven);
}

destination_budget::state
destination_budget::of(const endpoint& peer, time_point now) const noexcept {
    const auto found = by_address_.find(destination_of(peer));
    const std::uint64_t level = found == by_address_.end() ? 0 : found->second->level_at(now);
    if (level > silent_above) {
        return state::silent;
    }
    return level > reduced_above ? state::reduced : state::free;
}

void destination_budget::charge(const endpoint& peer, std::uint64_t bytes, time_point now) {
    const endpoint destination = destination_of(peer);
    if (const auto found = by_address_.find(destination); found != by_address_.end()) {
        account& known = *found->second;
        known.level = known.level_at(now) + bytes;
        known.charged = std::max(known.charged, now);
        by_age_.splice(by_age_.end(), by_age_, found->second);
        return;
    }
    // Those that are forgiven wholly go first; they are the oldest, as a rule.
    while (!by_age_.empty() &&
           (by_age_.size() >= remembered_max || by_age_.front().level_at(now) == 0)) {
        by_address_.erase(by_age_.front().destination);
        by_age_.pop_front();
    }
    shrink_table(by_address_);
    by_age_.push_back({destination, bytes, now});
    try {
        by_address_.emplace(destination, std::prev(by_age_.end()));
    } catch (...) {
        by_age_.pop_back();
        throw;
    }
}

void destination_budget::credit(const endpoint& peer, std::uint64_t bytes) noexcept {
    if (const auto found = by_address_.find(destination_of(peer)); found != by_address_.end()) {
        account& known = *found->second;
        known.level -= std::min(known.level, bytes);
    }
}

} // namespace tftp
