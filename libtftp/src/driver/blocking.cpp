#include <tftp/driver/blocking.hpp>
#include <tftp/driver/client_transfer.hpp>
#include <tftp/io/scratch.hpp>
#include <tftp/io/udp_port.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

#include <poll.h>

namespace tftp::io {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

[[nodiscard]] ::timespec to_timespec(duration d) noexcept {
    const auto positive = std::max(d, duration::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(positive);
    ::timespec out{};
    out.tv_sec = seconds.count();
    out.tv_nsec = std::chrono::nanoseconds(positive - seconds).count();
    return out;
}

/// Waits for readiness or the deadline. Returns the ready events; none when time is up or a signal
/// came.
[[nodiscard]] short wait(const interest& wanted, duration at_most) noexcept {
    ::pollfd p{};
    p.fd = wanted.fd;
    p.events = static_cast<short>((wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0));
    const ::timespec limit = to_timespec(at_most);
    return ::ppoll(&p, 1, &limit, nullptr) > 0 ? p.revents : short{0};
}

void run(transfer& t, progress_monitor* monitor) {
    scratch memory;
    time_point reported = clock::now();
    t.start(memory, reported);
    while (!t.closed()) {
        time_point now = clock::now();
        duration patience = t.deadline() ? *t.deadline() - now : duration(progress_interval);
        if (monitor != nullptr) {
            patience = std::min<duration>(patience, progress_interval);
        }
        const short ready = wait(t.wants(), patience);
        now = clock::now();
        if ((ready & (POLLIN | POLLERR)) != 0) {
            t.on_readable(memory, now);
        }
        if ((ready & POLLOUT) != 0) {
            t.on_writable(memory, now);
        }
        if (t.deadline() && now >= *t.deadline()) {
            t.on_deadline(memory, now);
        }
        const bool interrupted = ready == 0;
        if (monitor != nullptr && !t.completed() &&
            (interrupted || now - reported >= progress_interval)) {
            reported = now;
            if (!monitor->on_progress(t.counters().bytes, t.agreed().tsize)) {
                t.abort(peer_errc::undefined, "stopped by the user", errc::stopped, memory, now);
            }
        }
    }
}

template <class Begin>
[[nodiscard]] transfer_summary
run(const request& asked, error_code& error, progress_monitor* monitor, Begin begin) noexcept {
    transfer_summary ended;
    try {
        udp_port_factory ports;
        result<std::unique_ptr<transfer>> t = begin(asked, ports);
        if (t) {
            run(**t, monitor);
            ended = (*t)->summary();
            if (may_fall_back(asked, ended)) {
                request plain = asked;
                plain.options = {};
                return run(plain, error, monitor, std::move(begin));
            }
        } else {
            ended.outcome = t.error();
        }
    } catch (const std::bad_alloc&) {
        ended.outcome = make_error_code(boost::system::errc::not_enough_memory);
    }
    error = ended.outcome;
    return ended;
}

} // namespace

transfer_summary
get(const request& asked, sink& into, error_code& error, progress_monitor* monitor) noexcept {
    return run(asked, error, monitor, [&into](const request& r, port_factory& ports) {
        return begin_get(r, into, ports, clock::now());
    });
}

transfer_summary
put(const request& asked, source& from, error_code& error, progress_monitor* monitor) noexcept {
    return run(asked, error, monitor, [&from](const request& r, port_factory& ports) {
        return begin_put(r, from, ports, clock::now());
    });
}

transfer_summary get(const request& asked, sink& into) {
    error_code error;
    transfer_summary ended = get(asked, into, error);
    if (error) {
        throw boost::system::system_error(error, "tftp get");
    }
    return ended;
}

transfer_summary put(const request& asked, source& from) {
    error_code error;
    transfer_summary ended = put(asked, from, error);
    if (error) {
        throw boost::system::system_error(error, "tftp put");
    }
    return ended;
}

} // namespace tftp::io
