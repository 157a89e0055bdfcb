#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/server/service.hpp>
#include <tftp/transfer/transfer.hpp>

#include <array>
#include <cstddef>
#include <optional>

#include <sys/epoll.h>

namespace tftp {

/// Watches the descriptors of a `service` in one epoll set. A thread of its own waits in turn();
/// any other event loop waits on the set, which is itself one descriptor, and calls dispatch().
/// Not thread-safe, but for wake().
class epoll_loop final : public event_loop {
public:
    /// Throws std::system_error when the kernel gives no descriptors.
    epoll_loop();

    [[nodiscard]] error_code watch(const interest& wanted, void* token) noexcept override;
    void unwatch(int fd) noexcept override;

    /// Nothing: the kernel forgets what is closed.
    void closing(int) noexcept override {}

    /// Waits until something watched is ready, wake() was called, or `until` has come, if given;
    /// then tells `target` what is ready, calls its on_deadline() when a time has come, and settles
    /// it. May return early.
    ///
    /// Throws std::system_error when the kernel refuses to wait.
    void turn(service& target, std::optional<time_point> until);

    /// Has the running turn() return, or the next one. Any thread; async-signal-safe.
    void wake() noexcept;

    /// Returns the descriptor that is readable when something watched is ready.
    [[nodiscard]] int native_handle() const noexcept { return set_.get(); }

    /// Tells `target` what is ready now, without waiting, and settles it. Returns how many
    /// descriptors were ready, at most `events_max`.
    std::size_t dispatch(service& target, time_point now) noexcept;

    static constexpr std::size_t events_max = 256;

private:
    [[nodiscard]] error_code add(int fd, ::epoll_event event) noexcept;
    void arm(time_point until) noexcept;
    void report(service& target, std::size_t ready, time_point now) noexcept;
    void look_again(service& target, std::size_t ready) noexcept;

    unique_fd set_;
    unique_fd timer_;
    unique_fd wakeups_;
    /// When the timer expires; a wait for a later time leaves it alone.
    std::optional<time_point> armed_;
    std::array<::epoll_event, events_max> events_{};
};

} // namespace tftp
