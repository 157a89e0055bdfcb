#include "server/async/listeners.hpp"

#include <tftp/server/async/server.hpp>
#include <tftp/server/async/worker.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <sched.h>

namespace tftp {

namespace {

/// Transfers share this part of a range of ports when they are more than the rest.
constexpr std::size_t shared_part = 4;

/// Cores this process may run on, which a container or taskset may have restricted.
[[nodiscard]] unsigned usable_cores() noexcept {
    ::cpu_set_t set{};
    return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set))
                                                         : 1;
}

/// Divides the ports of `range` into those that transfers may have for themselves, and those for
/// sharing, one for each thread at least.
void divide(const port_range& range, std::size_t threads, service_config& service) {
    const std::size_t size = range.last - range.first + std::size_t{1};
    std::size_t exclusive = 0;
    if (service.tids == tid_mode::exclusive) {
        const std::size_t part = std::min(service.limits.shared_ports_max, size / shared_part);
        const std::size_t kept = std::min(std::max(part, threads), size);
        exclusive = std::min(service.limits.exclusive_ports_max, size - kept);
    }
    service.limits.exclusive_ports_max = exclusive;
    service.ports_to_guess = size;
    service.limits.shared_ports_max = std::min(service.limits.shared_ports_max, size - exclusive);
}

} // namespace

class server::impl {
public:
    explicit impl(config setup);

    void run();

    config setup;
    tftp::admission admission;
    std::vector<endpoint> endpoints;
    boost::asio::io_context control{1};
    std::vector<std::unique_ptr<worker>> workers;
    /// Ends before the workers, to whose queues its jobs report.
    thread_pool pool;

private:
    /// What threads wait for before they serve.
    enum class start : std::uint8_t { awaited, given, called_off };

    [[nodiscard]] std::vector<std::thread>
    start_threads(const std::function<void(worker&)>& serve, std::atomic<start>& go);
};

server::impl::impl(config wanted) : setup(std::move(wanted)), admission(setup.service.limits) {
    if (!setup.files) {
        throw std::invalid_argument("a server needs files: server::config::files is null");
    }
    if (setup.workers == 0) {
        setup.workers = usable_cores();
    }
    service_config share = setup.service;
    const auto share_of = [this](std::size_t all) {
        return std::max<std::size_t>(all / setup.workers, 1);
    };
    share.limits.half_open_max = share_of(share.limits.half_open_max);
    if (setup.transfer_ports) {
        divide(*setup.transfer_ports, setup.workers, share);
    }
    share.shared_ports_to_guess = share.limits.shared_ports_max;
    share.limits.exclusive_ports_max /= setup.workers;
    share.limits.shared_ports_max = share_of(share.limits.shared_ports_max);
    share.limits.requests_per_second =
        std::max(share.limits.requests_per_second / setup.workers, 1U);
    for (unsigned i = 0; i < setup.workers; ++i) {
        workers.push_back(std::make_unique<worker>(worker::setup{
            *setup.files,
            share,
            setup.transfer_ports,
            &pool,
            &admission,
            setup.policy.get(),
            setup.on_finished}));
    }
    const socket_options options = detail::listen_options(setup.service.tids);
    for (auto& port : detail::bind_listeners(setup)) {
        endpoints.push_back(port->local_endpoint());
        if (workers.size() > 1) {
            if (const error_code failed = port->share()) {
                throw listen_error(failed, endpoints.back());
            }
        }
        for (std::size_t i = 1; i < workers.size(); ++i) {
            auto shared = udp_socket::open_shared(*port, options);
            if (!shared) {
                throw listen_error(shared.error(), endpoints.back());
            }
            workers[i]->listen(std::move(*shared));
        }
        workers[0]->listen(std::move(port));
    }
}

/// Starts all threads, which wait for `go`; or none. They use both arguments to their end.
std::vector<std::thread>
server::impl::start_threads(const std::function<void(worker&)>& serve, std::atomic<start>& go) {
    std::vector<std::thread> threads;
    try {
        threads.reserve(workers.size());
        for (const auto& w : workers) {
            threads.emplace_back([&serve, &go, &w = *w] {
                go.wait(start::awaited);
                if (go.load() == start::given) {
                    serve(w);
                }
            });
        }
        if (pool.start()) {
            return threads;
        }
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    } catch (const std::exception& why) {
        go.store(start::called_off);
        go.notify_all();
        for (std::thread& t : threads) {
            t.join();
        }
        const auto* const refused = dynamic_cast<const std::system_error*>(&why);
        throw threads_error(
            refused != nullptr ? error_code(refused->code())
                               : make_error_code(boost::system::errc::not_enough_memory)
        );
    }
}

void server::impl::run() {
    // Signals and timers of the embedding program stay responsive while the workers are busy, and
    // to the end of a drain.
    std::mutex mutex;
    std::exception_ptr failure;
    std::size_t serving = workers.size();
    const auto fail = [&] {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
        for (const auto& w : workers) {
            w->stop();
        }
    };
    const std::function<void(worker&)> serve = [&](worker& w) {
        try {
            w.run();
        } catch (...) {
            fail();
        }
        const std::lock_guard lock(mutex);
        if (--serving == 0) {
            control.stop();
        }
    };
    const auto work = boost::asio::make_work_guard(control);
    std::atomic<start> go = start::awaited;
    std::vector<std::thread> threads = start_threads(serve, go);
    go.store(start::given);
    go.notify_all();
    try {
        if (setup.on_started) {
            setup.on_started();
        }
        control.run();
    } catch (...) {
        // A handler of the embedding program threw.
        fail();
    }
    for (std::thread& t : threads) {
        t.join();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

server::config server::config_for(server_options options, std::shared_ptr<content_provider> files) {
    config out;
    if (!options.listen.empty() && options.listen.front() == ':') {
        // Both families, at this port.
        const result<endpoint> any = parse_endpoint("0.0.0.0" + options.listen, 69);
        if (!any) {
            throw listen_error(options.listen);
        }
        out.port = any->port;
    } else if (!options.listen.empty()) {
        const result<endpoint> one = parse_endpoint(options.listen, 69);
        if (!one) {
            throw listen_error(options.listen);
        }
        out.listen = {*one};
    }
    out.files = std::move(files);
    out.service = options.service;
    out.on_finished = std::move(options.on_finished);
    out.policy = std::move(options.policy);
    return out;
}

server::server(config setup) : impl_(std::make_unique<impl>(std::move(setup))) {}

server::~server() = default;

const std::vector<endpoint>& server::endpoints() const noexcept {
    return impl_->endpoints;
}

boost::asio::any_io_executor server::get_executor() const {
    return impl_->control.get_executor();
}

void server::run() {
    impl_->run();
}

void server::drain(duration grace) {
    for (const auto& w : impl_->workers) {
        w->drain(grace);
    }
}

void server::stop() {
    for (const auto& w : impl_->workers) {
        w->stop();
    }
}

bool server::wait_for_disks(std::chrono::milliseconds patience) noexcept {
    return impl_->pool.wait_idle(patience);
}

std::size_t server::threads() const noexcept {
    return impl_->workers.size();
}

server_counts server::counts() const noexcept {
    server_counts sum;
    for (const auto& w : impl_->workers) {
        sum += w->counts();
    }
    return sum;
}

std::size_t server::running() const noexcept {
    std::size_t sum = 0;
    for (const auto& w : impl_->workers) {
        sum += w->running();
    }
    return sum;
}

} // namespace tftp
