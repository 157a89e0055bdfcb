#include "runtime/timer_fd.hpp"

#include <tftp/runtime/epoll_loop.hpp>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace tftp {

namespace {

/// So many ready at once are polled again, and at most so often: the others wait meanwhile.
constexpr std::size_t crowd = 16;
constexpr unsigned polls_max = 7;

/// Polling stops when misses exceed hits by this part of all: the answers have yet to come.
constexpr std::size_t misses_part = 16;

[[nodiscard]] unique_fd must(int fd, const char* what) {
    if (fd == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return unique_fd(fd);
}

/// The timeouts of waits do instead where a kernel or a filter refuses the call.
[[nodiscard]] unique_fd make_timer() {
    const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd == -1 && (errno == ENOSYS || errno == EPERM) ? unique_fd()
                                                           : must(fd, "timerfd_create");
}

/// For the timer and the wake-ups: no handler, and edge-triggered, so that nobody has to read them.
[[nodiscard]] ::epoll_event own_event() noexcept {
    ::epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    return event;
}

} // namespace

epoll_loop::epoll_loop()
    : set_(must(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      timer_(make_timer()),
      wakeups_(must(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    for (const unique_fd* const own : {&timer_, &wakeups_}) {
        if (!*own) {
            continue;
        }
        if (const error_code failed = add(own->get(), own_event())) {
            throw std::system_error(failed, "epoll_ctl");
        }
    }
}

error_code epoll_loop::add(int fd, ::epoll_event event) noexcept {
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ||
        (errno == EEXIST && ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, fd, &event) == 0)) {
        return {};
    }
    return {errno, boost::system::system_category()};
}

error_code epoll_loop::watch(const interest& wanted, event_handler& handler) noexcept {
    if (!wanted.read && !wanted.write) {
        // An error that waits would be reported all the same, again and again.
        unwatch(wanted.fd);
        return {};
    }
    ::epoll_event event{};
    event.events = (wanted.read ? EPOLLIN : 0U) | (wanted.write ? EPOLLOUT : 0U);
    event.data.ptr = &handler;
    return add(wanted.fd, event);
}

void epoll_loop::unwatch(int fd) noexcept {
    static_cast<void>(::epoll_ctl(set_.get(), EPOLL_CTL_DEL, fd, nullptr));
}

void epoll_loop::arm(time_point until) noexcept {
    // One that expires early is harmless, so a deadline that moved later costs nothing.
    if (armed_ && *armed_ <= until) {
        return;
    }
    if (timer_ && !set_timer(timer_.get(), until)) {
        timer_.reset();
    }
    armed_ = until;
}

time_point epoll_loop::run_once(std::optional<time_point> until) {
    if (until) {
        arm(*until);
    }
    const int timeout = timer_ || !armed_ ? -1 : milliseconds_to(*armed_);
    const int ready =
        ::epoll_wait(set_.get(), events_.data(), static_cast<int>(events_.size()), timeout);
    if (ready < 0 && errno != EINTR) {
        throw std::system_error(errno, std::generic_category(), "epoll_wait");
    }
    const time_point now = clock::now();
    if (armed_ && *armed_ <= now) {
        armed_.reset();
    }
    call_handlers(ready > 0 ? static_cast<std::size_t>(ready) : 0, now);
    return now;
}

void epoll_loop::wake() noexcept {
    const int before = errno;
    const std::uint64_t one = 1;
    // Fails only when the counter would overflow: run_once() has not looked at any of 2^64 calls.
    while (::write(wakeups_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = before;
}

void epoll_loop::call_handlers(std::size_t ready, time_point now) noexcept {
    for (std::size_t i = 0; i < ready; ++i) {
        const ::epoll_event& event = events_[i];
        if (event.data.ptr == nullptr) {
            continue;
        }
        // An error waits to be read like a datagram.
        const bool readable = (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        auto& handler = *static_cast<event_handler*>(event.data.ptr);
        handler.on_event(readable, (event.events & EPOLLOUT) != 0, now);
    }
    poll_again(ready);
}

void epoll_loop::poll_again(std::size_t ready) noexcept {
    for (unsigned polls = 0; polls < polls_max && ready >= crowd; ++polls) {
        const time_point now = clock::now();
        const std::size_t misses_max = ready / misses_part + 1;
        std::size_t hits = 0;
        for (std::size_t i = 0; i < ready && i < 2 * hits + misses_max; ++i) {
            auto* const handler = static_cast<event_handler*>(events_[i].data.ptr);
            if (handler != nullptr && handler->poll_again(now)) {
                events_[hits] = events_[i];
                ++hits;
            }
        }
        ready = hits;
    }
}

std::size_t epoll_loop::dispatch(time_point now) noexcept {
    const int count = ::epoll_wait(set_.get(), events_.data(), static_cast<int>(events_.size()), 0);
    const std::size_t ready = count > 0 ? static_cast<std::size_t>(count) : 0;
    call_handlers(ready, now);
    return ready;
}

} // namespace tftp
