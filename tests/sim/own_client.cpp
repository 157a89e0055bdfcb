#include <fmt/core.h>

#include <algorithm>
#include <sim/own_client.hpp>

namespace tftp::sim {

namespace {

constexpr unsigned expirations_max = 8;

} // namespace

own_client::own_client(
    const own_client_plan& plan,
    const kernel::parts& world,
    const endpoint& host,
    const watch_rules& rules,
    scratch& memory,
    disk& files,
    prng& seeds
)
    : program(host),
      world_(world),
      plan_(plan),
      random_(seeds.next()),
      kernel_(world, host, plan.kernel, rules, seeds.next()),
      memory_(memory),
      files_(files) {
    kernel_.serve(*this);
}

own_client::~own_client() = default;

sim_socket* own_client::socket() const {
    return kernel_.sockets().empty() ? nullptr : kernel_.sockets().begin()->second;
}

std::optional<endpoint> own_client::heard() const {
    if (!transfer_ || transfer_->opening()) {
        return std::nullopt;
    }
    return transfer_->peer();
}

bool own_client::under_way() const {
    return transfer_ && !transfer_->opening() && transfer_->counters().blocks != 0 && socket();
}

std::optional<endpoint> own_client::local() const {
    const sim_socket* const port = socket();
    return port == nullptr ? std::nullopt : std::optional(port->address());
}

void own_client::start(const asked_file& asked, bool plain) {
    const time_point now = world_.net.now();
    asked_ = asked;
    plain_ = plain;
    reported_ = false;
    awaits_restart_ = false;
    report_ = {};
    request_ = {};
    request_.server = network::server_host.with_port(69);
    request_.filename = asked.name.text();
    request_.mode = asked.mode;
    request_.options = plain ? offer{} : asked.options;
    request_.fall_back = plan_.fall_back && !plain;
    request_.engine = plan_.engine;
    result<std::unique_ptr<transfer>> made = errc::stopped;
    if (asked.read) {
        sink_ = std::make_unique<checked_sink>(asked.name, restarted_, world_.judge);
        made = begin_get(request_, *sink_, kernel_, now);
    } else {
        source_ = std::make_unique<checked_source>(asked.name);
        made = begin_put(request_, *source_, kernel_, now);
    }
    if (!made) {
        report_.ended = true;
        report_.outcome = made.error();
        return;
    }
    transfer_ = std::move(*made);
    // Another request takes a fresh port; only a machine that starts again has the same.
    kernel_.next_port = 0;
    port_ = socket()->address().port;
    transfer_->start(memory_, now);
    after();
}

void own_client::on_socket(sim_socket& from) {
    if (!from.readable() && !from.writable()) {
        world_.net.wake(*this, from.writable_at(), wake_work);
    } else if (!work_pending_) {
        work_pending_ = true;
        duration lag = random_.up_to(plan_.wake_lag);
        if (random_.chance(plan_.late_ppm)) {
            world_.seen.note(happening::own_late);
            lag += random_.up_to(plan_.late_lag);
        }
        world_.net.wake(*this, world_.net.now() + lag, wake_work);
    }
}

void own_client::on_wake(network& net, std::uint32_t what) {
    switch (what) {
    case wake_begin:
        if (plan_.vanishes_after) {
            net.wake(*this, net.now() + *plan_.vanishes_after, wake_vanish);
        }
        start(plan_.first, false);
        break;
    case wake_work:
        work();
        break;
    case wake_vanish:
        vanish(net);
        break;
    case wake_restart:
        world_.seen.note(happening::own_restarted);
        kernel_.silence(false);
        restarted_ = true;
        kernel_.next_port = port_;
        start(*plan_.second, false);
        break;
    default:
        if (what == timer_number_ && transfer_) {
            timer_.reset();
            const time_point now = net.now();
            expired_ = expired_at_ == now ? expired_ + 1 : 0;
            expired_at_ = now;
            require(expired_ < expirations_max, "a client's deadline stands in the past");
            transfer_->on_deadline(memory_, now);
            after();
        }
        break;
    }
}

void own_client::vanish(network& net) {
    if (transfer_ == nullptr || report_.ended) {
        return;
    }
    world_.log.line(net.now(), address(), "vanishes");
    world_.seen.note(happening::own_vanished);
    kernel_.silence(plan_.silent);
    timer_.reset();
    ++timer_number_;
    transfer_.reset();
    report_.ended = true;
    report_.outcome = errc::stopped;
    if (plan_.second) {
        awaits_restart_ = true;
        net.wake(*this, net.now() + plan_.restarts_after, wake_restart);
    }
}

void own_client::work() {
    work_pending_ = false;
    sim_socket* const port = socket();
    if (transfer_ == nullptr || port == nullptr) {
        return;
    }
    const time_point now = world_.net.now();
    const interest wanted = transfer_->wants();
    kernel_.working_on = port->native_handle();
    if (wanted.read && port->readable()) {
        transfer_->on_readable(memory_, now);
    }
    kernel_.working_on = -1;
    if (wanted.write && port->writable() && !transfer_->closed()) {
        transfer_->on_writable(memory_, now);
    }
    after();
}

void own_client::after() {
    if (transfer_->completed() && !reported_) {
        finish();
    }
    if (transfer_->closed()) {
        const bool again = !plain_ && !report_.whole && plan_.fall_back &&
                           may_fall_back(request_, transfer_->summary());
        timer_.reset();
        ++timer_number_;
        transfer_.reset();
        if (again) {
            start(asked_, true);
        }
        return;
    }
    const time_point now = world_.net.now();
    const auto due = transfer_->deadline();
    if (due && (!timer_ || *due < *timer_)) {
        timer_ = std::max(*due, now);
        world_.net.wake(*this, *timer_, ++timer_number_);
    }
    sim_socket& port = *socket();
    const interest wanted = transfer_->wants();
    if ((wanted.read && port.readable()) || (wanted.write && port.writable())) {
        on_socket(port);
    }
}

void own_client::finish() {
    reported_ = true;
    const transfer_summary seen = transfer_->summary();
    if (world_.log.on()) {
        world_.log.line(
            world_.net.now(), address(), fmt::format("completed: {}", seen.outcome.message())
        );
    }
    report_.ended = true;
    report_.outcome = seen.outcome;
    report_.whole = !seen.outcome.failed();
    sim_socket& port = *socket();
    port.on_outcome(seen.peer, report_.whole);
    report_.data_sent = port.watch().only().data_sent();
    if (asked_.read) {
        require(sink_->committed() == report_.whole, "a read is whole or it failed");
    } else if (report_.whole && !restarted_) {
        // A machine that starts again takes late ACKs of its last transfer for answers.
        require(
            files_.commits(asked_.name.text()) != 0, "a write ended well, but no file is visible"
        );
    }
    if (asked_.mode == transfer_mode::netascii && report_.whole) {
        world_.seen.note(happening::own_netascii);
    }
    if (report_.whole) {
        world_.seen.note(asked_.read ? happening::own_read : happening::own_write);
    }
}

} // namespace tftp::sim
