#include <algorithm>
#include <sim/network.hpp>

namespace tftp::sim {

namespace {

/// IPv4 and UDP.
constexpr std::size_t headers_size = 28;

} // namespace

bool link::drops(std::size_t size, time_point now) noexcept {
    if (config_.burst_enter_ppm != 0) {
        bad_ = bad_ ? !random_.chance(config_.burst_leave_ppm)
                    : random_.chance(config_.burst_enter_ppm);
        if (bad_ && random_.chance(config_.burst_loss_ppm)) {
            ++counters_.burst;
            return true;
        }
    }
    const duration at = now - network::start;
    const bool dark = std::ranges::any_of(config_.blackouts, [at](const link_config::interval& i) {
        return i.from <= at && at < i.until;
    });
    counters_.dark += dark ? 1U : 0U;
    if (random_.chance(config_.loss_ppm)) {
        return true;
    }
    if (random_.chance(config_.corrupt_ppm)) {
        ++counters_.corrupt;
        return true;
    }
    const bool oversize =
        config_.mtu != 0 && at >= config_.mtu_from && size + headers_size > config_.mtu;
    counters_.oversize += oversize ? 1U : 0U;
    return dark || oversize;
}

const std::vector<time_point>& link::carry(std::size_t size, time_point now) {
    arrivals_.clear();
    ++counters_.offered;
    time_point leaves = now;
    const duration service =
        config_.per_datagram + config_.per_octet * static_cast<duration::rep>(size);
    const bool narrow =
        config_.narrow_until == duration::zero() || now - network::start < config_.narrow_until;
    if (service > duration::zero() && narrow) {
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
    if (drops(size, now)) {
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

network::network(const link_config& to_server, const link_config& to_client, prng& seeds) {
    add_path(client_host, to_server, to_client, seeds);
}

void network::add_path(
    const endpoint& host, const link_config& to_server, const link_config& to_client, prng& seeds
) {
    const std::uint64_t first = seeds.next();
    const std::uint64_t second = seeds.next();
    paths_.emplace(host, path{link(to_server, first), link(to_client, second)});
}

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
    d.refusal = false;
    d.octets.assign(octets.begin(), octets.end());
    return slot;
}

link* network::link_for(const endpoint& from, const endpoint& to) noexcept {
    const bool up = to.same_host(server_host);
    const auto found = paths_.find((up ? from : to).with_port(0));
    if (found == paths_.end()) {
        return nullptr;
    }
    return up ? &found->second.to_server : &found->second.to_client;
}

void network::note_unheard(const endpoint& from, const endpoint& to) noexcept {
    note_unheard();
    if (link* const way = link_for(from, to)) {
        way->note_unheard();
    }
}

void network::send(
    const endpoint& from, const endpoint& to, bytes_view octets, std::uint64_t acked
) {
    record(from, to, octets);
    if (link* const way = link_for(from, to)) {
        for (const time_point at : way->carry(octets.size(), now_)) {
            events_.push({at, order_++, nullptr, keep(from, to, octets, acked)});
        }
    }
}

void network::inject(const endpoint& from, const endpoint& to, bytes_view octets) {
    record(from, to, octets);
    events_.push({now_, order_++, nullptr, keep(from, to, octets, 0)});
}

void network::record(const endpoint& from, const endpoint& to, bytes_view octets) {
    if (capture_ != nullptr) {
        capture_->write(now_ - start, from, to, octets);
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
    deliver(datagrams_[e.what]);
    free_.push_back(e.what);
    return true;
}

void network::deliver(const datagram& d) {
    const auto found = stations_.find(d.to);
    if (d.refusal) {
        if (found != stations_.end()) {
            found->second->on_refusal(*this, d.from);
        }
        return;
    }
    if (found != stations_.end()) {
        found->second->on_arrival(*this, d);
        return;
    }
    note_unheard(d.from, d.to);
    link* const way = link_for(d.to, d.from);
    if (way == nullptr || !refuses || !refuses(d)) {
        return;
    }
    for (const time_point at : way->carry(refusal_size, now_)) {
        const std::uint32_t slot = keep(d.to, d.from, {}, 0);
        datagrams_[slot].refusal = true;
        events_.push({at, order_++, nullptr, slot});
    }
}

} // namespace tftp::sim
