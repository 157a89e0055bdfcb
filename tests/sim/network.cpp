#include <algorithm>
#include <sim/network.hpp>

namespace tftp::sim {

bool link::drops(time_point now) noexcept {
    if (config_.burst_enter_ppm != 0) {
        bad_ = bad_ ? !random_.chance(config_.burst_leave_ppm)
                    : random_.chance(config_.burst_enter_ppm);
        if (bad_ && random_.chance(config_.burst_loss_ppm)) {
            return true;
        }
    }
    const duration at = now - network::start;
    const bool dark = std::ranges::any_of(config_.blackouts, [at](const link_config::interval& i) {
        return i.from <= at && at < i.until;
    });
    return random_.chance(config_.loss_ppm) || random_.chance(config_.corrupt_ppm) || dark;
}

const std::vector<time_point>& link::carry(std::size_t size, time_point now) {
    arrivals_.clear();
    ++counters_.offered;
    time_point leaves = now;
    const duration service =
        config_.per_datagram + config_.per_octet * static_cast<duration::rep>(size);
    if (service > duration::zero()) {
        while (!served_.empty() && served_.front() <= now) {
            served_.pop_front();
        }
        if (config_.queue != 0 && served_.size() >= config_.queue) {
            ++counters_.lost;
            ++counters_.overflowed;
            return arrivals_;
        }
        leaves = (served_.empty() ? now : served_.back()) + service;
        served_.push_back(leaves);
    }
    if (drops(now)) {
        ++counters_.lost;
        return arrivals_;
    }
    time_point arrives = leaves + config_.delay + random_.up_to(config_.jitter);
    if (config_.in_order) {
        newest_ = std::max(newest_, arrives);
        arrives = newest_;
    }
    if (random_.chance(config_.reorder_ppm)) {
        ++counters_.reordered;
        arrives += random_.up_to(config_.reorder_lag);
    }
    arrivals_.push_back(arrives);
    if (random_.chance(config_.duplicate_ppm)) {
        ++counters_.duplicated;
        arrivals_.push_back(arrives + random_.up_to(config_.duplicate_lag));
    }
    return arrivals_;
}

network::network(const link_config& to_server, const link_config& to_client, prng& seeds)
    : to_server_(to_server, seeds.next()), to_client_(to_client, seeds.next()) {}

std::uint32_t
network::keep(const endpoint& from, const endpoint& to, bytes_view octets, std::uint64_t acked) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(datagrams_.size()));
        datagrams_.emplace_back();
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    datagram& d = datagrams_[slot];
    d.from = from;
    d.to = to;
    d.acked = acked;
    d.octets.assign(octets.begin(), octets.end());
    return slot;
}

void network::send(
    const endpoint& from, const endpoint& to, bytes_view octets, std::uint64_t acked
) {
    link* path = nullptr;
    if (to.same_host(server_host)) {
        path = &to_server_;
    } else if (to.same_host(client_host)) {
        path = &to_client_;
    } else {
        return;
    }
    for (const time_point at : path->carry(octets.size(), now_)) {
        events_.push({at, order_++, nullptr, keep(from, to, octets, acked)});
    }
}

void network::wake(station& who, time_point at, std::uint32_t what) {
    events_.push({std::max(at, now_), order_++, &who, what});
}

bool network::step() {
    if (events_.empty()) {
        return false;
    }
    const event e = events_.top();
    events_.pop();
    now_ = e.at;
    if (e.who != nullptr) {
        e.who->on_wake(*this, e.what);
        return true;
    }
    // Deque: the reference survives what the station sends in answer.
    const datagram& d = datagrams_[e.what];
    const auto found =
        std::ranges::find_if(stations_, [&d](const station* s) { return s->address() == d.to; });
    if (found != stations_.end()) {
        (*found)->on_arrival(*this, d);
    } else {
        note_unheard();
    }
    free_.push_back(e.what);
    return true;
}

} // namespace tftp::sim
