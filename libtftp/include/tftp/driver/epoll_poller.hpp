#pragma once

#include <tftp/driver/service.hpp>
#include <tftp/driver/transfer.hpp>
#include <tftp/io/unique_fd.hpp>
#include <tftp/wire/error.hpp>
#include <tftp/wire/time.hpp>

#include <array>
#include <cstddef>

#include <sys/epoll.h>

namespace tftp::io {

/// Watches the descriptors of a `service` in one epoll set, which is itself one descriptor: any
/// event loop waits on that one. Not thread-safe.
class epoll_poller final : public poller {
public:
    /// Throws std::system_error when the kernel gives no epoll set.
    epoll_poller();

    [[nodiscard]] error_code watch(const interest& wanted, void* token) noexcept override;
    void unwatch(int fd) noexcept override;

    /// Returns the descriptor that is readable when something watched is ready.
    [[nodiscard]] int native_handle() const noexcept { return set_.get(); }

    /// Tells `target` what is ready now, without waiting, and settles it. Returns how many
    /// descriptors were ready, at most `events_max`.
    std::size_t dispatch(service& target, time_point now) noexcept;

    static constexpr std::size_t events_max = 256;

private:
    unique_fd set_;
    std::array<::epoll_event, events_max> events_{};
};

} // namespace tftp::io
