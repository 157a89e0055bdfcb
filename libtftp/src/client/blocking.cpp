#include "runtime/timer_fd.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/client/blocking.hpp>
#include <tftp/client/client_transfer.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

#include <poll.h>
#include <sys/timerfd.h>

namespace tftp {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

/// Waits for one descriptor or a time. A timer of its own expires at the earliest time so far, and
/// is left alone while times move on: a timeout of each poll() would start and stop one. Where the
/// system gives no timer the timeouts do.
class waiter {
public:
    waiter() noexcept : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}

    /// Returns the events that are ready; none when `until` may have come, or a signal. Errors: as
    /// poll(2) says.
    [[nodiscard]] result<short> wait(const interest& wanted, time_point until) noexcept {
        if (timer_ && until < armed_) {
            if (set_timer(timer_.get(), until)) {
                armed_ = until;
            } else {
                timer_.reset();
            }
        }
        std::array<::pollfd, 2> on{};
        on[0].fd = wanted.fd;
        on[0].events =
            static_cast<short>((wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0));
        on[1].fd = timer_.get(); // poll() passes over one that is not there
        on[1].events = POLLIN;
        const int count = ::poll(on.data(), on.size(), timer_ ? -1 : milliseconds_to(until));
        if (count < 0 && errno != EINTR) {
            return error_code(errno, boost::system::system_category());
        }
        if (count <= 0) {
            return short{0};
        }
        if (on[1].revents != 0) {
            // It stays readable until it is set again.
            armed_ = time_point::max();
        }
        return on[0].revents;
    }

private:
    unique_fd timer_;
    time_point armed_ = time_point::max();
};

/// Who hears of progress: each may be missing.
struct watchers {
    progress_monitor* monitor = nullptr;
    const progress_callback& callback;

    [[nodiscard]] bool any() const noexcept { return monitor != nullptr || callback; }

    /// Returns false when one of them wants an end.
    [[nodiscard]] bool go_on(const progress& so_far) const {
        const bool first = monitor == nullptr || monitor->on_progress(so_far.bytes, so_far.total);
        return (!callback || callback(so_far)) && first;
    }

    void ended(const transfer& t) const {
        if (callback && !t.failed()) {
            static_cast<void>(callback({t.counters().bytes, t.agreed().tsize}));
        }
    }
};

void run(transfer& t, time_point limit, const watchers& watched) {
    scratch memory;
    waiter clock_and_port;
    time_point now = clock::now();
    time_point reported = now;
    t.start(memory, now);
    while (!t.closed()) {
        time_point until = t.deadline().value_or(now + progress_interval);
        if (watched.any()) {
            until = std::min<time_point>(until, now + progress_interval);
        }
        const result<short> waited = clock_and_port.wait(t.wants(), std::min(until, limit));
        now = clock::now();
        if (!waited) {
            t.abort(peer_errc::undefined, "cannot wait", waited.error(), memory, now);
            return;
        }
        const short ready = *waited;
        if ((ready & (POLLIN | POLLERR)) != 0) {
            t.on_readable(memory, now);
        }
        if ((ready & POLLOUT) != 0) {
            t.on_writable(memory, now);
        }
        if (t.deadline() && now >= *t.deadline()) {
            t.on_deadline(memory, now);
        }
        if (now >= limit && !t.committing()) {
            if (t.completed()) {
                // The outcome stands; only repeats of the last ACK would follow.
                return;
            }
            t.abort(peer_errc::undefined, "took too long", errc::out_of_time, memory, now);
        }
        const bool interrupted = ready == 0;
        if (watched.any() && !t.completed() &&
            (interrupted || now - reported >= progress_interval)) {
            reported = now;
            if (!watched.go_on({t.counters().bytes, t.agreed().tsize})) {
                t.abort(peer_errc::undefined, "stopped by the user", errc::stopped, memory, now);
            }
        }
    }
    watched.ended(t);
}

/// Makes one request. Throws std::bad_alloc.
template <class Begin>
[[nodiscard]] transfer_summary attempt(
    const client_request& asked, time_point limit, progress_monitor* monitor, const Begin& begin
) {
    udp_socket_factory ports;
    result<std::unique_ptr<transfer>> t = begin(asked, ports);
    if (!t) {
        transfer_summary nothing;
        nothing.outcome = t.error();
        nothing.failed = side_of(t.error(), false);
        return nothing;
    }
    run(**t, limit, {monitor, asked.on_progress});
    return (*t)->summary();
}

template <class Begin>
[[nodiscard]] transfer_summary
run(const client_request& asked, error_code& error, progress_monitor* monitor, const Begin& begin
) noexcept {
    transfer_summary ended;
    try {
        const time_point limit = last_moment(asked, clock::now());
        ended = attempt(asked, limit, monitor, begin);
        if (may_fall_back(asked, ended)) {
            client_request plain = asked;
            plain.options = no_options;
            ended = after_falling_back(std::move(ended), attempt(plain, limit, monitor, begin));
        }
    } catch (const std::bad_alloc&) {
        ended.outcome = make_error_code(boost::system::errc::not_enough_memory);
        ended.failed = failing_side::own;
    }
    error = ended.outcome;
    return ended;
}

} // namespace

transfer_summary
get(const client_request& asked, sink& into, error_code& error, progress_monitor* monitor
) noexcept {
    return run(asked, error, monitor, [&into](const client_request& r, socket_factory& ports) {
        return begin_get(r, into, ports, clock::now());
    });
}

transfer_summary
put(const client_request& asked, source& from, error_code& error, progress_monitor* monitor
) noexcept {
    return run(asked, error, monitor, [&from](const client_request& r, socket_factory& ports) {
        return begin_put(r, from, ports, clock::now());
    });
}

transfer_summary get(const client_request& asked, sink& into) {
    error_code failed;
    transfer_summary ended = get(asked, into, failed);
    if (failed) {
        throw error(std::string(asked.filename), std::move(ended));
    }
    return ended;
}

transfer_summary put(const client_request& asked, source& from) {
    error_code failed;
    transfer_summary ended = put(asked, from, failed);
    if (failed) {
        throw error(std::string(asked.filename), std::move(ended));
    }
    return ended;
}

} // namespace tftp
