#include "server/async/listeners.hpp"

#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/async/async_server.hpp>
#include <tftp/server/shard.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>

namespace tftp {

namespace asio = boost::asio;

namespace {

/// How long a stop waits for commits: an upload that reaches its name is acknowledged.
constexpr auto commit_patience = std::chrono::milliseconds(600);

[[nodiscard]] server::config checked(server::config setup) {
    if (!setup.files) {
        throw std::invalid_argument("a server needs files: there is no content_provider");
    }
    return setup;
}

} // namespace

/// The shard waits in an epoll set, which is one descriptor for Asio. Waits keep no share of
/// this: it ends with its owner.
class async_server::impl final : public std::enable_shared_from_this<impl>, private observer {
public:
    impl(const asio::any_io_executor& ex, server::config wanted)
        : setup_(checked(std::move(wanted))),
          shard_(
              {*setup_.files, ports_, loop_, *this, &pool_, nullptr, setup_.policy.get()},
              setup_.service,
              clock::now()
          ),
          readable_(ex, loop_.native_handle()),
          timer_(ex) {
        for (auto& port : detail::bind_listeners(setup_)) {
            endpoints_.push_back(port->local_endpoint());
            if (const error_code failed = shard_.listen(std::move(port))) {
                throw listen_error(failed, endpoints_.back());
            }
        }
    }

    ~impl() override { static_cast<void>(readable_.release()); } // the loop owns it

    void start() {
        wait();
        arm();
    }

    void drain(duration grace) {
        if (over_ || patience_) {
            return;
        }
        shard_.close_listeners();
        draining_ = true;
        patience_ = clock::now() + grace;
        after_step();
    }

    void stop() {
        if (stopping_) {
            end();
            return;
        }
        stopping_ = true;
        shard_.close_listeners();
        shard_.abort_all(clock::now());
        shard_.step(clock::now());
        patience_ = clock::now() + commit_patience;
        after_step();
    }

    [[nodiscard]] const std::vector<endpoint>& endpoints() const noexcept { return endpoints_; }

    [[nodiscard]] std::size_t running() const noexcept { return shard_.running(); }

    [[nodiscard]] server_counts counts() const noexcept { return shard_.counters().read(); }

private:
    void on_finished(const transfer_summary& summary) noexcept override {
        if (setup_.on_finished) {
            setup_.on_finished(summary);
        }
    }

    void wait() {
        readable_.async_wait(
            asio::posix::stream_descriptor::wait_read,
            [weak = weak_from_this()](error_code failed) {
                if (const auto self = weak.lock(); self && !failed && !self->over_) {
                    const time_point now = clock::now();
                    self->loop_.dispatch(now);
                    self->shard_.step(now);
                    self->wait();
                    self->after_step();
                }
            }
        );
    }

    void after_step() {
        const bool done = stopping_ ? shard_.running() == 0 : draining_ && shard_.transfers() == 0;
        if (done) {
            end();
        } else {
            arm();
        }
    }

    void arm() {
        const auto due = earlier(shard_.deadline(), patience_);
        if (over_ || !due || (armed_ && *armed_ <= *due)) {
            return;
        }
        armed_ = due;
        timer_.expires_at(*due);
        timer_.async_wait([weak = weak_from_this()](error_code failed) {
            if (const auto self = weak.lock(); self && !failed && !self->over_) {
                self->on_time(clock::now());
            }
        });
    }

    void on_time(time_point now) {
        armed_.reset();
        shard_.step(now);
        if (patience_ && *patience_ <= now) {
            stop();
        } else {
            after_step();
        }
    }

    /// Leaves the event loop without work.
    void end() {
        over_ = true;
        readable_.cancel();
        timer_.cancel();
    }

    server::config setup_;
    udp_socket_factory ports_;
    epoll_loop loop_;
    shard shard_;
    /// Ends before the shard, to which its jobs report.
    thread_pool pool_;
    asio::posix::stream_descriptor readable_;
    asio::steady_timer timer_;
    std::vector<endpoint> endpoints_;
    std::optional<time_point> armed_;
    /// When a drain becomes a stop, and a stop ends whatever still runs.
    std::optional<time_point> patience_;
    bool draining_ = false;
    bool stopping_ = false;
    bool over_ = false;
};

async_server::async_server(
    const asio::any_io_executor& ex, server_options options, std::shared_ptr<content_provider> files
)
    : impl_(std::make_shared<impl>(ex, server::config_for(std::move(options), std::move(files)))) {
    impl_->start();
}

async_server::~async_server() = default;

const std::vector<endpoint>& async_server::endpoints() const noexcept {
    return impl_->endpoints();
}

void async_server::drain(duration grace) {
    impl_->drain(grace);
}

void async_server::stop() {
    impl_->stop();
}

server_counts async_server::counts() const noexcept {
    return impl_->counts();
}

std::size_t async_server::running() const noexcept {
    return impl_->running();
}

} // namespace tftp
