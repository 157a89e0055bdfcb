#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/socket/scratch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tftp {

/// How a run of equal datagrams leaves: in one segmented send, one system call for many, or one by
/// one. A port falls from one to the next by itself when the kernel or the route refuses; forcing a
/// lower one serves tests and broken network drivers.
enum class segmentation : std::uint8_t { gso, batch, single };

/// How a port is opened.
struct socket_options {
    /// Ask for a socket receive buffer of at least this many bytes; 0 leaves the system's default.
    std::size_t receive_buffer = 0;
    /// The same for the send buffer: for ports from which many are served, where those that cannot
    /// be reached take room until the system gives them up.
    std::size_t send_buffer = 0;
    /// Let the kernel coalesce received datagrams (UDP_GRO): for ports that receive windows.
    bool coalesce = false;
    /// Report ICMP refusals (IP_RECVERR): only for ports with one peer.
    bool refusals = false;
    /// Report the local address of each datagram and honour it in sends (IP_PKTINFO): for ports
    /// bound to a wildcard address.
    bool local_addresses = false;
    /// Tell how long each datagram has waited in the port (SO_TIMESTAMPNS): for ports that take
    /// requests. The system may begin a moment after the first port has asked for it.
    bool waiting_times = false;
    segmentation sends = segmentation::gso;
    /// Name of the one network interface to send and receive by (SO_BINDTODEVICE), up to its zero;
    /// empty for any.
    std::array<char, 16> device{};
};

/// An ICMP error that came back for a datagram this port had sent.
struct refusal {
    /// Where the datagram was sent.
    endpoint to;
    /// For example `connection_refused`, in the system category.
    error_code why;
};

/// One bound UDP socket, or something that behaves like it; knows no engine. One virtual call a
/// batch. The seam at which a simulated network takes the place of the kernel.
///
/// Not thread-safe. Nothing blocks.
class datagram_socket {
public:
    datagram_socket() = default;
    datagram_socket(const datagram_socket&) = delete;
    datagram_socket& operator=(const datagram_socket&) = delete;
    virtual ~datagram_socket() = default;

    /// Takes what is queued, at most `messages_max` messages (1..scratch::receive_slots).
    ///
    /// Returns the messages in order of arrival, none when nothing is queued. Errors: a pending
    /// socket error, for example `connection_refused`; take the refusals and call again.
    /// Lifetime: the messages stand in `memory` until its next use.
    [[nodiscard]] virtual result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept = 0;

    /// Sends `run` as datagrams of `segment` bytes each, the last may be shorter.
    ///
    /// run: at most 64 segments and 65,507 bytes. local: source address to use when the port was
    /// opened with `local_addresses`, family `none` for the system's choice. Returns how many were
    /// taken, from the first on; fewer than all when the socket's buffer is full. Errors:
    /// `operation_would_block` when none was taken, `message_size` when a segment is too large for
    /// the route; others as the system says.
    [[nodiscard]] virtual result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept = 0;

    /// Copies a run into the port, which then holds it: nothing leaves before release(), or ever
    /// after drop_corked(), one of which comes next. So the caller can check bytes that somebody
    /// else may change after they were copied.
    ///
    /// parts: the bytes of the run one after the other, at most two parts a datagram; the rest as
    /// for `send_run`. Errors: `operation_not_supported` when the port cannot do this, or not for
    /// such a run: send_run() it; `bad_address` when a part stands in memory that has gone; others
    /// as `send_run`. Nothing is held then.
    [[nodiscard]] virtual error_code cork(
        const endpoint& peer,
        const endpoint& local,
        std::span<const ::iovec> parts,
        std::size_t segment
    ) noexcept {
        static_cast<void>(peer);
        static_cast<void>(local);
        static_cast<void>(parts);
        static_cast<void>(segment);
        return make_error_code(boost::system::errc::operation_not_supported);
    }

    /// Sends what is corked, all of it. Errors as `cork`: nothing has left then.
    [[nodiscard]] virtual error_code release() noexcept { return {}; }

    /// Forgets what is corked.
    virtual void drop_corked() noexcept {}

    /// Sends one datagram. Errors as `send_run`.
    [[nodiscard]] virtual error_code
    send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept = 0;

    /// Returns the oldest ICMP error not yet taken; empty when there is none or the port was opened
    /// without `refusals`.
    [[nodiscard]] virtual std::optional<refusal> next_refusal() noexcept = 0;

    /// Returns the address and port it is bound to.
    [[nodiscard]] virtual endpoint local_endpoint() const noexcept = 0;

    /// Returns the receive buffer in bytes as the system accounts it, bookkeeping included; 0 when
    /// there is no bound.
    [[nodiscard]] virtual std::size_t receive_buffer() const noexcept { return 0; }

    /// Returns the descriptor to wait on; -1 when there is none.
    [[nodiscard]] virtual int native_handle() const noexcept = 0;
};

/// Opens ports: the kernel's, or a simulation's.
class socket_factory {
public:
    socket_factory() = default;
    socket_factory(const socket_factory&) = delete;
    socket_factory& operator=(const socket_factory&) = delete;
    virtual ~socket_factory() = default;

    /// Opens a port bound to `local`; port 0 takes a fresh ephemeral one.
    ///
    /// Errors: as socket(2), bind(2) and setsockopt(2) say.
    [[nodiscard]] virtual result<std::unique_ptr<datagram_socket>>
    open(const endpoint& local, const socket_options& options) noexcept = 0;
};

} // namespace tftp
