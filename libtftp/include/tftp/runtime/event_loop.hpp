#pragma once

#include <tftp/base/error.hpp>

namespace tftp {

/// What a descriptor is to be watched for. fd is -1 when there is none.
struct interest {
    int fd = -1;
    bool read = false;
    bool write = false;

    friend bool operator==(const interest&, const interest&) = default;
};

/// Watches descriptors for a `service`: epoll in the server, tables of their own in programs that
/// use select or poll, a virtual network in simulations.
class event_loop {
public:
    event_loop() = default;
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    virtual ~event_loop() = default;

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

} // namespace tftp
