#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sim/crowd_server.hpp>
#include <sim/heap.hpp>

namespace tftp::sim {

namespace {

constexpr endpoint listening = network::server_host.with_port(69);

/// No descriptor of the real system, as those of other sockets are.
constexpr int listener_fd = 999'999;

/// More announcements of deadlines than this at one time: the program spins.
constexpr unsigned expirations_max = 8;

/// Allocations that stay when all is over: tables that have grown, the addresses that were listened
/// on. One for each transfer would be more.
constexpr std::size_t blocks_kept = 8;

} // namespace

crowd_server::crowd_server(
    const server_plan& plan, const kernel::parts& world, const watch_rules& rules, prng& seeds
)
    : program(network::server_host),
      world_(world),
      plan_(plan),
      random_(seeds.next()),
      looks_(prng(random_).next()),
      kernel_(world, network::server_host, plan.kernel, rules, seeds.next()),
      files_(plan.disk, world, seeds.next()),
      pool_(plan.disk, world, seeds.next()),
      admission_(plan.service.limits, seeds.next()) {
    kernel_.serve(*this);
    pool_.on_done = [this] {
        completions_ready_ = true;
        if (!work_pending_) {
            work_pending_ = true;
            world_.net.wake(*this, world_.net.now() + random_.up_to(plan_.wake_lag), wake_work);
        }
    };
    job_runner* const pool = plan_.disk.pool ? &pool_ : nullptr;
    const std::size_t before = heap::blocks();
    shard_ = std::make_unique<shard>(
        shard_dependencies{files_, kernel_, *this, *this, pool, &admission_},
        plan_.service,
        world_.net.now()
    );
    blocks_at_start_ = heap::blocks() - before;
    socket_options options;
    options.local_addresses = true;
    options.waiting_times = true;
    port_use use = port_use::requests;
    if (plan_.service.tids == tid_mode::single) {
        // As server opens it.
        options.coalesce = true;
        options.receive_buffer = std::size_t{4} << 20;
        use = port_use::shared;
    }
    auto port = std::make_unique<sim_socket>(kernel_, listening, options, listener_fd, use);
    world_.net.attach(*port, endpoint::ipv4(255, 255, 255, 255, listening.port));
    if (shard_->listen(std::move(port))) {
        throw violation("the server cannot listen");
    }
    if (use == port_use::shared) {
        // This one goes with the shard only.
        blocks_at_start_ = heap::blocks() - before;
    }
    if (plan_.stops_at) {
        world_.net.wake(*this, network::start + *plan_.stops_at, wake_stop);
    }
}

crowd_server::~crowd_server() {
    // Jobs end before the shard to which they report.
    pool_.clear();
    shard_.reset();
}

error_code crowd_server::watch(const interest& wanted, event_handler& handler) noexcept {
    const bool transfers = wanted.fd != listener_fd && kernel_.find(wanted.fd) != nullptr;
    if (transfers && random_.chance(plan_.kernel.watch_ppm)) {
        world_.seen.note(happening::watch_failed);
        return {ENOSPC, boost::system::system_category()};
    }
    watched_[wanted.fd] = {wanted, &handler};
    if (sim_socket* const port = kernel_.find(wanted.fd)) {
        on_socket(*port);
    }
    return {};
}

void crowd_server::unwatch(int fd) noexcept {
    if (fd == listener_fd && world_.net.now() != network::start) {
        world_.seen.note(happening::listeners_paused);
    }
    watched_.erase(fd);
}

void crowd_server::on_socket(sim_socket& from) {
    // A socket that is full wakes the program when it has room again.
    const bool later = !from.readable() && !from.writable();
    const time_point at = later ? from.writable_at() : world_.net.now();
    if (later) {
        world_.net.wake(*this, at, wake_work);
    } else if (!work_pending_) {
        work_pending_ = true;
        world_.net.wake(*this, at + random_.up_to(plan_.wake_lag), wake_work);
    }
}

bool crowd_server::ready(const watched& what) const noexcept {
    const sim_socket* const port = kernel_.find(what.wanted.fd);
    if (port == nullptr) {
        return completions_ready_;
    }
    return (what.wanted.read && port->readable()) || (what.wanted.write && port->writable());
}

void crowd_server::on_wake(network& net, std::uint32_t what) {
    if (what == wake_work) {
        work();
    } else if (what == wake_stop) {
        shard_->close_listeners();
        shard_->abort_all(net.now());
        shard_->step(net.now());
        after();
    } else if (what == timer_number_) {
        timer_.reset();
        expire();
    }
}

void crowd_server::work() {
    work_pending_ = false;
    const time_point now = world_.net.now();
    turn_.clear();
    for (const auto& [fd, what] : watched_) {
        if (ready(what)) {
            turn_.push_back(fd);
        }
    }
    for (const int fd : turn_) {
        // Once closed within this turn it is spoken of no more, as epoll has it.
        const auto found = watched_.find(fd);
        if (found == watched_.end()) {
            continue;
        }
        const watched what = found->second;
        sim_socket* const port = kernel_.find(fd);
        const bool readable = port == nullptr || (what.wanted.read && port->readable());
        const bool writable = port != nullptr && what.wanted.write && port->writable();
        if (port == nullptr) {
            completions_ready_ = false;
        }
        // With room in its buffer it sends what was held up, whatever has come besides.
        kernel_.working_on = readable && !writable ? fd : -1;
        what.handler->on_event(readable, writable, now);
        kernel_.working_on = -1;
        if (port != nullptr) {
            port->on_acted();
        }
    }
    poll_again();
    shard_->step(now);
    after();
}

/// As an event loop does that knows of many.
void crowd_server::poll_again() {
    const time_point now = world_.net.now();
    if (looks_.below(2) == 0) {
        return;
    }
    for (const int fd : turn_) {
        const auto found = watched_.find(fd);
        sim_socket* const port = kernel_.find(fd);
        if (found == watched_.end() || port == nullptr) {
            continue;
        }
        const watched what = found->second;
        kernel_.working_on = what.wanted.read && port->readable() && !port->writable() ? fd : -1;
        const bool any = what.handler->poll_again(now);
        kernel_.working_on = -1;
        port->on_acted();
        if (any) {
            world_.seen.note(happening::looked_again);
        }
    }
}

void crowd_server::expire() {
    const time_point now = world_.net.now();
    expired_ = expired_at_ == now ? expired_ + 1 : 0;
    expired_at_ = now;
    require(expired_ < expirations_max, "a deadline stands in the past: the program would spin");
    shard_->step(now);
    after();
}

void crowd_server::after() {
    const time_point now = world_.net.now();
    const tftp::limits& limits = plan_.service.limits;
    require(admission_.transfers() <= limits.transfers_max, "more transfers than allowed");
    require(shard_->transfers() <= admission_.transfers(), "transfers that are not counted");
    require(shard_->running() <= shard_->transfers(), "more transfers run than there are");
    require(kernel_.sockets().size() <= ports_max(), "more ports than allowed");
    const auto due = shard_->deadline();
    if (due && (!timer_ || *due < *timer_)) {
        timer_ = std::max(*due, now);
        world_.net.wake(*this, *timer_, ++timer_number_);
    }
    const bool more =
        std::ranges::any_of(watched_, [this](const auto& entry) { return ready(entry.second); });
    if (more && !work_pending_) {
        work_pending_ = true;
        world_.net.wake(*this, now + random_.up_to(plan_.wake_lag), wake_work);
    }
}

std::size_t crowd_server::ports_max() const noexcept {
    const tftp::limits& limits = plan_.service.limits;
    switch (plan_.service.tids) {
    case tid_mode::exclusive:
        return 1 + limits.exclusive_ports_max + limits.shared_ports_max;
    case tid_mode::pooled:
        return 1 + limits.shared_ports_max;
    case tid_mode::single:
        break;
    }
    return 1;
}

void crowd_server::on_finished(const transfer_summary& summary) noexcept {
    if (world_.log.on()) {
        world_.log.line(
            world_.net.now(),
            summary.local,
            fmt::format("finished {}: {}", summary.filename, summary.outcome.message())
        );
    }
    count(summary);
    if (summary.local == listening && plan_.service.tids != tid_mode::single) {
        world_.judge.require(summary.outcome.failed(), "a refusal without a reason");
        return;
    }
    sim_socket* const port = kernel_.find(summary.local);
    world_.judge.require(port != nullptr, "a transfer ends whose port is closed");
    if (port != nullptr) {
        const bool success = !summary.outcome.failed();
        port->on_outcome(summary.peer, success);
        if (success && port->watch().use() == port_use::shared) {
            const bool single = summary.local == listening;
            world_.seen.note(
                single ? happening::through_port_of_requests : happening::through_shared_port
            );
        }
    }
    if (summary.verb == transfer_direction::write && !summary.outcome.failed()) {
        files_.reported(summary.filename);
    }
}

void crowd_server::count(const transfer_summary& summary) noexcept {
    struct row {
        error_code outcome;
        happening what{};
    };

    static const std::array rows = {
        row{errc::crowded_out, happening::crowded_out},
        row{errc::overloaded, happening::overloaded},
        row{errc::too_fast, happening::client_too_fast},
        row{errc::superseded, happening::superseded},
        row{errc::size_probe, happening::size_probe},
        row{errc::timed_out, happening::timed_out},
        row{errc::stopped, happening::stopped},
        row{{ECONNREFUSED, boost::system::system_category()}, happening::peer_gone},
    };
    tally& seen = world_.seen;
    const auto found = std::ranges::find(rows, summary.outcome, &row::outcome);
    if (found != rows.end()) {
        seen.note(found->what);
    } else if (summary.outcome.category() == peer_category()) {
        seen.note(happening::ended_by_peer);
    } else if (!summary.outcome.failed()) {
        const bool reads = summary.verb == transfer_direction::read;
        seen.note(reads ? happening::read_done : happening::write_done);
        seen.note(happening::past_rollover, summary.counters.blocks > 65535 ? 1 : 0);
    }
}

void crowd_server::check_idle() {
    require(shard_->transfers() == 0, "a transfer is never closed");
    require(shard_->running() == 0, "a transfer is counted though none is left");
    require(!shard_->deadline(), "a deadline is left though no transfer is");
    shard_->close_listeners();
    // The port of requests that transfers use stays.
    const std::size_t stay = plan_.service.tids == tid_mode::single ? 1 : 0;
    require(kernel_.sockets().size() == stay, "a port is left open");
    require(
        watched_.size() == (plan_.disk.pool ? stay + 1 : stay), "a closed descriptor is watched"
    );
    require(admission_.transfers() == 0, "a transfer is counted though none is left");
    require(
        admission_.buffers().left() == plan_.service.limits.buffered_octets_max,
        "memory for transfers is not given back"
    );
    files_.check();
    if (sim_socket* const port = kernel_.find(listener_fd)) {
        port->on_unused();
    }
    const std::size_t before = heap::blocks();
    shard_.reset();
    require(before - heap::blocks() <= blocks_at_start_ + blocks_kept, "the shard keeps memory");
    require(watched_.empty(), "a descriptor is watched when the shard is gone");
}

} // namespace tftp::sim
