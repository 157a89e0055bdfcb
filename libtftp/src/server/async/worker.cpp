#include <tftp/server/async/worker.hpp>

#include <boost/system/system_error.hpp>

#include <chrono>
#include <utility>

namespace tftp {

namespace {

/// How long a stop waits for commits: an upload that reaches its name is acknowledged.
constexpr auto commit_patience = std::chrono::milliseconds(600);

[[nodiscard]] udp_socket_factory make_ports(const std::optional<port_range>& range) noexcept {
    return range ? udp_socket_factory(*range) : udp_socket_factory();
}

} // namespace

worker::worker(const setup& parts)
    : ports_(make_ports(parts.transfer_ports)),
      on_finished_(parts.on_finished),
      shard_(
          {parts.files, ports_, loop_, *this, parts.pool, parts.admission, parts.policy},
          parts.service,
          clock::now()
      ) {}

worker::~worker() = default;

void worker::listen(std::unique_ptr<datagram_socket> port) {
    if (const error_code failed = shard_.listen(std::move(port))) {
        throw boost::system::system_error(failed, "listen");
    }
}

void worker::run() {
    while (!over()) {
        shard_.step(loop_.run_once(next_deadline()));
        follow_orders();
        running_.store(shard_.running(), std::memory_order_relaxed);
    }
}

bool worker::over() const noexcept {
    switch (mode_) {
    case mode::serving:
        return false;
    case mode::draining:
        // A drain also lets uploads repeat their final ACK.
        return shard_.transfers() == 0;
    case mode::stopping:
        // A stop only lets commits come to an end.
        return ended_ || shard_.running() == 0;
    }
    return ended_;
}

std::optional<time_point> worker::next_deadline() const noexcept {
    return earlier(shard_.deadline(), patience_);
}

void worker::follow_orders() {
    orders asked;
    if (ordered_.load(std::memory_order_relaxed)) {
        const std::lock_guard lock(mutex_);
        asked = std::exchange(orders_, {});
        ordered_.store(false, std::memory_order_relaxed);
    }
    if (asked.drain) {
        begin_drain(*asked.drain);
    }
    for (; asked.stops > 0; --asked.stops) {
        begin_stop();
    }
    if (patience_ && *patience_ <= clock::now()) {
        begin_stop();
    }
}

void worker::begin_drain(duration grace) {
    if (mode_ == mode::serving) {
        mode_ = mode::draining;
        shard_.close_listeners();
        patience_ = clock::now() + grace;
    }
}

void worker::begin_stop() {
    if (mode_ == mode::stopping) {
        ended_ = true;
        return;
    }
    mode_ = mode::stopping;
    shard_.close_listeners();
    shard_.abort_all(clock::now());
    shard_.step(clock::now());
    patience_ = clock::now() + commit_patience;
}

void worker::drain(duration grace) {
    {
        const std::lock_guard lock(mutex_);
        // Only the first counts, as for one that came a turn earlier.
        orders_.drain = orders_.drain.value_or(grace);
        ordered_.store(true, std::memory_order_relaxed);
    }
    loop_.wake();
}

void worker::stop() {
    {
        const std::lock_guard lock(mutex_);
        ++orders_.stops;
        ordered_.store(true, std::memory_order_relaxed);
    }
    loop_.wake();
}

void worker::on_finished(const transfer_summary& summary) noexcept {
    if (on_finished_) {
        on_finished_(summary);
    }
}

} // namespace tftp
