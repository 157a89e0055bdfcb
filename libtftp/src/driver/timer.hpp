#pragma once

#include <tftp/wire/time.hpp>

#include <algorithm>
#include <chrono>

#include <sys/timerfd.h>

namespace tftp::io {

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

} // namespace tftp::io
