#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/scratch.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tftp {

/// One datagram that a socket sent or received.
struct tapped_datagram {
    /// This side: the address that the datagram left from or was sent to, a group's too, as far as
    /// the socket tells it; else the address that the socket is bound to. With the socket's port.
    endpoint local;
    endpoint peer;
    /// The payload of UDP, 0..65507 bytes. Lifetime: borrowed for the call.
    bytes_view bytes;
    /// When the socket took it, or gave it; one time for those of one call.
    time_point when;
};

/// Is shown every datagram of the sockets that it taps, in the order in which they left or were
/// read: for traces, captures and checks. Sockets are tapped by a `tapped_socket_factory` or a
/// `tapped_socket`; without one nothing is tapped, and costs nothing.
///
/// Called in the thread that uses the socket: a tap for sockets of several threads must be
/// thread-safe. It delays the transfers, so it is to be quick, and it must not use the socket.
class packet_tap {
public:
    packet_tap() = default;
    packet_tap(const packet_tap&) = delete;
    packet_tap& operator=(const packet_tap&) = delete;
    virtual ~packet_tap() = default;

    /// Shows a datagram that has left: the socket took it. It may be lost on its way.
    virtual void on_sent(const tapped_datagram& shown) noexcept = 0;

    /// Shows a datagram that was read from the socket, before anybody has looked at it.
    virtual void on_received(const tapped_datagram& shown) noexcept = 0;

    /// Returns the time to show: that of the clock, unless a simulation has its own.
    [[nodiscard]] virtual time_point now() const noexcept { return clock::now(); }
};

/// A socket that shows its datagrams to a tap. Runs that leave in one system call, and messages
/// that the kernel coalesced, are shown datagram by datagram.
///
/// It corks nothing: what is corked may change in the next moment, or vanish and take the program
/// with it, and only the kernel has the bytes that leave. So the caller sends such a run by
/// send_run(), as `datagram_socket::cork` has it, and the tap is shown what really left.
class tapped_socket final : public datagram_socket {
public:
    /// inner: not null. Lifetime: `tap` outlives this.
    tapped_socket(std::unique_ptr<datagram_socket> inner, packet_tap& tap) noexcept;

    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override;
    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept override;
    [[nodiscard]] error_code
    send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept override;

    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override {
        return inner_->next_refusal();
    }

    [[nodiscard]] endpoint local_endpoint() const noexcept override {
        return inner_->local_endpoint();
    }

    [[nodiscard]] std::size_t receive_buffer() const noexcept override {
        return inner_->receive_buffer();
    }

    [[nodiscard]] int native_handle() const noexcept override { return inner_->native_handle(); }

private:
    [[nodiscard]] endpoint local_of(const endpoint& reported) const noexcept;

    std::unique_ptr<datagram_socket> inner_;
    packet_tap& tap_;
};

/// Opens the sockets of another factory, tapped.
class tapped_socket_factory final : public socket_factory {
public:
    /// Lifetime: `inner` outlives this, `tap` outlives the sockets.
    tapped_socket_factory(socket_factory& inner, packet_tap& tap) noexcept
        : inner_(inner), tap_(tap) {}

    /// As promised by `socket_factory`. Errors: those of the other factory, `not_enough_memory`.
    [[nodiscard]] result<std::unique_ptr<datagram_socket>>
    open(const endpoint& local, const socket_options& options) noexcept override;

private:
    socket_factory& inner_;
    packet_tap& tap_;
};

} // namespace tftp
