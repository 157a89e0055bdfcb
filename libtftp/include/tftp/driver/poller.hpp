#pragma once

#include <tftp/driver/request.hpp>
#include <tftp/driver/transfer.hpp>
#include <tftp/wire/error.hpp>

namespace tftp::io {

/// Watches descriptors for a `service`: epoll in the server, tables of their own in programs that
/// use select or poll, a virtual network in simulations.
class poller {
public:
    poller() = default;
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    virtual ~poller() = default;

    /// Watches `wanted.fd` level-triggered from now on, or changes what it is watched for; when
    /// that is neither reading nor writing, not even for errors. When it is ready, say so with
    /// `service::on_ready(token, ...)`.
    [[nodiscard]] virtual error_code watch(const interest& wanted, void* token) noexcept = 0;
    /// Stops watching `fd`.
    virtual void unwatch(int fd) noexcept = 0;

    /// Stops watching `fd`, which is closed before anybody waits again: as unwatch(), unless the
    /// system does it by itself.
    virtual void closing(int fd) noexcept { unwatch(fd); }
};

/// Hears of every request that came to its end, refused ones included. Called on the service's
/// thread.
class observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer() = default;

    /// Takes the outcome of one request.
    virtual void on_finished(const transfer_summary& summary) noexcept = 0;
};

} // namespace tftp::io
