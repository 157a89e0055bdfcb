#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/runtime/event_loop.hpp>

#include <array>
#include <cstddef>
#include <optional>

#include <sys/epoll.h>

namespace tftp {

/// Watches descriptors in one epoll set. A thread of its own waits in run_once(); any other event
/// loop waits on the set, which is itself one descriptor, and calls dispatch(). Not thread-safe,
/// but for wake().
class epoll_loop final : public event_loop {
public:
    /// Throws std::system_error when the kernel gives no descriptors.
    epoll_loop();

    [[nodiscard]] error_code
    watch(const interest& wanted, event_handler& handler) noexcept override;
    void unwatch(int fd) noexcept override;

    /// Nothing: the kernel forgets what is closed.
    void closing(int) noexcept override {}

    /// Waits until something watched is ready, wake() was called, or `until` has come, if given;
    /// then calls the handlers of what is ready. May return early. Returns the time at which it
    /// woke.
    ///
    /// Throws std::system_error when the kernel refuses to wait.
    time_point run_once(std::optional<time_point> until);

    /// Has the running run_once() return, or the next one. Any thread; async-signal-safe.
    void wake() noexcept;

    /// Returns the descriptor that is readable when something watched is ready.
    [[nodiscard]] int native_handle() const noexcept { return set_.get(); }

    /// Calls the handlers of what is ready now, without waiting. Returns how many descriptors were
    /// ready, at most `events_max`.
    std::size_t dispatch(time_point now) noexcept;

    static constexpr std::size_t events_max = 256;

private:
    [[nodiscard]] error_code add(int fd, ::epoll_event event) noexcept;
    void arm(time_point until) noexcept;
    void call_handlers(std::size_t ready, time_point now) noexcept;
    void poll_again(std::size_t ready) noexcept;

    unique_fd set_;
    unique_fd timer_;
    unique_fd wakeups_;
    /// When the timer expires; a wait for a later time leaves it alone.
    std::optional<time_point> armed_;
    std::array<::epoll_event, events_max> events_{};
};

} // namespace tftp
