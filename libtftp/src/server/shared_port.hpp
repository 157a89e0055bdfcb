#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/runtime/event_loop.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tftp {

struct server_transfer;

/// A socket that several transfers may send from and hear through.
///
/// Lifetime: the event loop and the reader outlive it. Not thread-safe.
class shared_port : public event_handler {
public:
    /// Reads what comes to it.
    class reader {
    public:
        virtual void on_readable(shared_port& port, time_point now) noexcept = 0;

    protected:
        ~reader() = default;
    };

    shared_port(event_loop& loop, reader& by, std::unique_ptr<datagram_socket> socket) noexcept
        : loop_(loop), reader_(by), socket_(std::move(socket)) {}

    virtual ~shared_port() = default;

    void on_event(bool readable, bool writable, time_point now) noexcept override;

    /// Watches it for what is wanted now. Errors: as the event loop says.
    [[nodiscard]] error_code watch() noexcept;

    /// Lets it rest: nothing is read or sent until watch().
    void unwatch() noexcept { loop_.unwatch(socket_->native_handle()); }

    /// Notes that a transfer waits until the socket's buffer has room, or does not.
    void wait_for_room(server_transfer& t, bool wanted) noexcept;

    [[nodiscard]] datagram_socket& socket() noexcept { return *socket_; }

    [[nodiscard]] const datagram_socket& socket() const noexcept { return *socket_; }

    /// Returns how many transfers it is lent to; those count themselves.
    [[nodiscard]] std::size_t& users() noexcept { return users_; }

private:
    void on_writable(time_point now) noexcept;

    event_loop& loop_;
    reader& reader_;
    std::unique_ptr<datagram_socket> socket_;
    std::size_t users_ = 0;
    /// Transfers for which the buffer was full, in the order of their turns.
    std::vector<server_transfer*> waiting_;
};

} // namespace tftp
