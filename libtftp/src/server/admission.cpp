#include "runtime/random.hpp"
#include "server/shrink_table.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/server/admission.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <utility>

namespace tftp {

namespace {

/// Clients forgotten for each one remembered: the table shrinks again after a flood.
constexpr int forgotten_at_once = 8;

} // namespace

admission::permit::permit(permit&& other) noexcept
    : in_(std::exchange(other.in_, nullptr)), client_(other.client_) {}

admission::permit& admission::permit::operator=(permit&& other) noexcept {
    std::swap(in_, other.in_);
    std::swap(client_, other.client_);
    return *this;
}

admission::permit::~permit() {
    if (in_ != nullptr) {
        in_->release(client_);
    }
}

admission::admission(const limits& bounds) : admission(bounds, random_bits()) {}

admission::admission(const limits& bounds, std::uint64_t seed)
    : bounds_(bounds),
      seed_(seed),
      buffers_(bounds.buffered_octets_max),
      by_address_(0, keyed_hash{seed}),
      unacknowledged_(seed) {}

result<admission::permit> admission::admit(const endpoint& peer, time_point now, bool beside) {
    const endpoint who = peer.with_port(0);
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    forget_some();
    client& asking = find_or_add(who, latest_);
    if (asking.requests.available(latest_) == 0) {
        return make_error_code(errc::too_fast);
    }
    asking.requests.take(1);
    if (asking.transfers >= bounds_.transfers_per_client_max + (beside ? 1 : 0)) {
        return make_error_code(errc::client_overloaded);
    }
    if (transfers_ >= bounds_.transfers_max) {
        return make_error_code(errc::overloaded);
    }
    ++asking.transfers;
    ++transfers_;
    return permit(*this, who);
}

void admission::release(const endpoint& who) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = by_address_.find(who);
    TFTP_ASSERT(found != by_address_.end() && found->second->transfers > 0);
    --found->second->transfers;
    --transfers_;
}

destination_budget::state admission::owed_by(const endpoint& peer, time_point now) const noexcept {
    const std::lock_guard lock(mutex_);
    return unacknowledged_.of(peer, now);
}

void admission::charge(const endpoint& peer, std::uint64_t bytes, time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    try {
        unacknowledged_.charge(peer, bytes, now);
    } catch (const std::bad_alloc&) {
        // Nothing is remembered then; the bounds of one transfer hold all the same.
    }
}

void admission::credit(const endpoint& peer, std::uint64_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    unacknowledged_.credit(peer, bytes);
}

void admission::forget_idle(time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    forget_some();
}

admission::client& admission::find_or_add(const endpoint& who, time_point now) {
    if (const auto found = by_address_.find(who); found != by_address_.end()) {
        found->second->asked = now;
        by_age_.splice(by_age_.end(), by_age_, found->second);
        return *found->second;
    }
    by_age_.push_back({who, 0, {bounds_.requests_per_client_per_second, now}, now});
    try {
        by_address_.emplace(who, std::prev(by_age_.end()));
    } catch (...) {
        by_age_.pop_back();
        throw;
    }
    return by_age_.back();
}

void admission::forget_some() noexcept {
    for (int i = 0; i < forgotten_at_once && !by_age_.empty(); ++i) {
        const client& oldest = by_age_.front();
        // Nothing is lost by forgetting a client whose bucket is full.
        if (latest_ - oldest.asked < token_bucket::span) {
            return;
        }
        if (oldest.transfers > 0) {
            // It stays known, but does not stand in the way of others.
            by_age_.splice(by_age_.end(), by_age_, by_age_.begin());
            continue;
        }
        by_address_.erase(oldest.who);
        by_age_.pop_front();
    }
    shrink_table(by_address_);
}

std::size_t admission::transfers() const noexcept {
    const std::lock_guard lock(mutex_);
    return transfers_;
}

std::size_t admission::clients() const noexcept {
    const std::lock_guard lock(mutex_);
    return by_address_.size();
}

} // namespace tftp
