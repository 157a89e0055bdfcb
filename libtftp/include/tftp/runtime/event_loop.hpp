#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>

namespace tftp {

/// What a descriptor is to be watched for. fd is -1 when there is none.
struct interest {
    int fd = -1;
    bool read = false;
    bool write = false;

    friend bool operator==(const interest&, const interest&) = default;
};

/// Is told when a descriptor that it watches is ready.
///
/// It exists until the end of the turn in which its descriptor is no longer watched. All calls come
/// from the thread of the event loop.
class event_handler {
public:
    event_handler() = default;
    event_handler(const event_handler&) = delete;
    event_handler& operator=(const event_handler&) = delete;

    /// The descriptor is ready. readable: there is something to read, an error included. now: the
    /// time at which the event loop woke.
    virtual void on_event(bool readable, bool writable, time_point now) noexcept = 0;

    /// Looks for what has come since on_event(), in the same turn of the event loop. An event loop
    /// that serves a crowd may call it: the peer that was answered first has sent its next packet
    /// by now, and its state is still in the cache. Returns false when there was nothing.
    virtual bool poll_again(time_point now) noexcept {
        static_cast<void>(now);
        return false;
    }

protected:
    ~event_handler() = default;
};

/// Watches descriptors: epoll in the server, tables of their own in programs that use select or
/// poll, a virtual network in simulations. Not thread-safe.
class event_loop {
public:
    event_loop() = default;
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    virtual ~event_loop() = default;

    /// Calls `handler` whenever `wanted.fd` is ready, level-triggered, from now on, or changes what
    /// it is watched for; when that is neither reading nor writing, not even for errors.
    [[nodiscard]] virtual error_code
    watch(const interest& wanted, event_handler& handler) noexcept = 0;
    /// Stops watching `fd`; in the present turn its handler may still be called.
    virtual void unwatch(int fd) noexcept = 0;

    /// Stops watching `fd`, which is closed before anybody waits again: as unwatch(), unless the
    /// system does it by itself.
    virtual void closing(int fd) noexcept { unwatch(fd); }
};

} // namespace tftp
