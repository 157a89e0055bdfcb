#pragma once

#include <tftp/base/time.hpp>

#include <algorithm>
#include <chrono>

#include <sys/timerfd.h>

namespace tftp {

/// Sets a timerfd of CLOCK_MONOTONIC to expire at `when`, at once if that has passed. Returns false
/// when the system refuses.
[[nodiscard]] inline bool set_timer(int fd, time_point when) noexcept {
    // Zero would switch it off.
    const auto since = std::max(when.time_since_epoch(), duration(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    ::itimerspec at{};
    at.it_value.tv_sec = seconds.count();
    at.it_value.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
    return ::timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr) == 0;
}

/// Returns the timeout of a poll(2) or epoll_wait(2) that is not to end before `when`, for systems
/// without timerfd: in whole milliseconds, 0 when that has passed.
[[nodiscard]] inline int milliseconds_to(time_point when) noexcept {
    constexpr auto most = std::chrono::hours(24);
    const duration left = when == time_point::max() ? most : when - clock::now();
    return static_cast<int>(
        std::chrono::ceil<std::chrono::milliseconds>(std::clamp<duration>(left, duration(0), most))
            .count()
    );
}

} // namespace tftp
