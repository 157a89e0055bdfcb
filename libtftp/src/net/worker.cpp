#include <tftp/net/worker.hpp>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <utility>

namespace tftp::net {

namespace {

/// Looks at the epoll set before it waits for it again: a wait costs Asio an epoll_ctl.
constexpr int turns_max = 8;

/// How long a stop waits for commits: an upload that reaches its name is acknowledged.
constexpr auto commit_patience = std::chrono::milliseconds(600);

[[nodiscard]] io::udp_port_factory make_ports(const std::optional<io::port_range>& range) noexcept {
    return range ? io::udp_port_factory(*range) : io::udp_port_factory();
}

} // namespace

worker::worker(const setup& parts)
    : ports_(make_ports(parts.transfer_ports)),
      on_finished_(parts.on_finished),
      service_(
          {parts.files, ports_, poller_, *this, parts.pool, parts.admission},
          parts.service,
          clock::now()
      ),
      ready_(context_, poller_.native_handle()),
      timer_(context_),
      grace_(context_) {}

worker::~worker() {
    // The poller owns the descriptor.
    static_cast<void>(ready_.release());
}

void worker::listen(std::unique_ptr<io::datagram_port> port) {
    if (const error_code failed = service_.listen(std::move(port))) {
        throw boost::system::system_error(failed, "listen");
    }
}

void worker::run() {
    wait();
    context_.run();
}

void worker::wait() {
    ready_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](error_code failed) {
        if (!failed) {
            turn();
            wait();
        }
    });
}

void worker::turn() {
    for (int turns = 0; turns < turns_max; ++turns) {
        if (poller_.dispatch(service_, clock::now()) == 0) {
            break;
        }
    }
    after_turn();
}

void worker::after_turn() {
    running_.store(service_.running(), std::memory_order_relaxed);
    // A drain also lets uploads repeat their final ACK; a stop only lets commits come to an end.
    const bool over = mode_ == mode::stopping
                          ? service_.running() == 0
                          : mode_ == mode::draining && service_.transfers() == 0;
    if (over) {
        context_.stop();
    } else {
        arm();
    }
}

void worker::arm() {
    const auto due = service_.deadline();
    // A timer that fires early is harmless, so a deadline that moved later costs nothing.
    if (!due || (armed_ && *armed_ <= *due)) {
        return;
    }
    armed_ = due;
    timer_.expires_at(*due);
    timer_.async_wait([this](error_code failed) {
        if (failed) {
            return;
        }
        armed_.reset();
        service_.on_deadline(clock::now());
        service_.settle();
        after_turn();
    });
}

void worker::drain(duration grace) {
    boost::asio::post(context_, [this, grace] {
        if (mode_ != mode::serving) {
            return;
        }
        mode_ = mode::draining;
        service_.close_listeners();
        grace_.expires_after(grace);
        grace_.async_wait([this](error_code failed) {
            if (!failed) {
                end();
            }
        });
        after_turn();
    });
}

void worker::stop() {
    boost::asio::post(context_, [this] { end(); });
}

void worker::end() {
    if (mode_ == mode::stopping) {
        context_.stop();
        return;
    }
    mode_ = mode::stopping;
    service_.close_listeners();
    service_.abort_all(clock::now());
    service_.settle();
    grace_.expires_after(commit_patience);
    grace_.async_wait([this](error_code failed) {
        if (!failed) {
            context_.stop();
        }
    });
    after_turn();
}

void worker::on_finished(const io::transfer_summary& summary) noexcept {
    if (on_finished_) {
        on_finished_(summary);
    }
}

} // namespace tftp::net
