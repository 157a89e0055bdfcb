#pragma once

#include <tftp/base/unique_fd.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>

struct mmsghdr;

namespace tftp {

/// A UDP socket of the kernel.
///
/// IPv6 sockets carry IPv6 only. Datagrams larger than the path take are fragmented, never refused:
/// none carries the don't-fragment flag. Options that only save time are left out where the kernel
/// or a filter refuses them, and so are calls for several datagrams. A port opened with `refusals`
/// may report a pending refusal as the error of the next send, whoever that send is for: take the
/// refusals and send again.
class udp_socket final : public datagram_socket {
public:
    /// Opens a socket bound to `local`; port 0 takes an ephemeral one. The address is not shared:
    /// fails with `address_in_use` when another socket holds it.
    ///
    /// Errors: as socket(2), bind(2) and setsockopt(2) say; `address_family_not_supported` for
    /// family `none`. A receive buffer smaller than asked for is no error: see `receive_buffer`.
    [[nodiscard]] static result<std::unique_ptr<udp_socket>>
    open(const endpoint& local, const socket_options& options) noexcept;

    /// Opens another socket at the address of `first`, which must have been `share`d: the kernel
    /// spreads the peers over both, each always to the same one.
    [[nodiscard]] static result<std::unique_ptr<udp_socket>>
    open_shared(const udp_socket& first, const socket_options& options) noexcept;

    /// Takes over a bound UDP socket, for example one that a service manager passed.
    ///
    /// Errors: `invalid_argument` when it is not a bound UDP socket, or an IPv6 one that carries
    /// IPv4 as well; `fd` is closed then.
    [[nodiscard]] static result<std::unique_ptr<udp_socket>>
    adopt(unique_fd fd, const socket_options& options) noexcept;

    /// Lets `open_shared` bind the same address. Called after `open`, which so still finds out that
    /// a stranger holds the address; from here on programs of the same user may join.
    [[nodiscard]] error_code share() noexcept;

    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override;
    /// As promised by `datagram_socket`; a datagram lost for want of buffers in the network stack
    /// (ENOBUFS) counts as taken.
    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept override;
    /// Holds what leaves in one segmented send, be it a single datagram.
    [[nodiscard]] error_code cork(
        const endpoint& peer,
        const endpoint& local,
        std::span<const ::iovec> parts,
        std::size_t segment
    ) noexcept override;
    [[nodiscard]] error_code release() noexcept override;
    void drop_corked() noexcept override;
    [[nodiscard]] error_code
    send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept override;
    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override;

    [[nodiscard]] endpoint local_endpoint() const noexcept override { return local_; }

    [[nodiscard]] int native_handle() const noexcept override { return fd_.get(); }

    /// Returns the receive buffer as the kernel accounts it: twice what was asked for when that was
    /// granted, because each datagram is charged all the memory it occupies.
    [[nodiscard]] std::size_t receive_buffer() const noexcept override;

    /// Returns true while runs of `segment` bytes leave in one segmented send: the port was opened
    /// for it and the kernel has not refused a segment of this size or smaller.
    [[nodiscard]] bool segments(std::size_t segment) const noexcept {
        return sends_ == segmentation::gso && segment < segment_refused_;
    }

private:
    friend class udp_socket_factory;

    udp_socket(unique_fd fd, const endpoint& local, const socket_options& options) noexcept;
    [[nodiscard]] static result<std::unique_ptr<udp_socket>>
    make(unique_fd fd, const socket_options& options) noexcept;
    [[nodiscard]] result<std::span<const received>> receive_plain(scratch& memory) noexcept;
    [[nodiscard]] int receive_messages(std::span<::mmsghdr> headers) noexcept;
    [[nodiscard]] int send_messages(std::span<::mmsghdr> headers) noexcept;
    [[nodiscard]] result<std::uint16_t> send_each(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept;
    [[nodiscard]] error_code send_parts(
        const endpoint& peer,
        const endpoint& local,
        std::span<const ::iovec> parts,
        std::size_t segment,
        int flags
    ) noexcept;
    [[nodiscard]] bool refused_segments(const error_code& error, std::size_t segment) noexcept;

    unique_fd fd_;
    endpoint local_;
    bool refusals_;
    bool local_addresses_;
    bool coalesces_;
    segmentation sends_;
    // The smallest segment that the kernel refused to cut a run into. Not one flag for all sizes: a
    // port with many peers meets routes of different MTUs.
    std::size_t segment_refused_ = std::numeric_limits<std::size_t>::max();
    /// Of the run that is held.
    std::size_t segment_held_ = 0;
    /// recvmmsg or sendmmsg is refused by the kernel or a filter: datagrams go one by one.
    bool batches_refused_ = false;
};

/// Ports from `first` to `last`, both included; 1 <= first <= last.
struct port_range {
    std::uint16_t first;
    std::uint16_t last;
};

/// Opens UDP sockets, with their ports in a range if one is given.
class udp_socket_factory final : public socket_factory {
public:
    /// Ports come from the kernel's ephemeral range.
    udp_socket_factory() noexcept = default;

    /// Ports come from `range`.
    explicit udp_socket_factory(const port_range& range) noexcept;

    /// As promised by `socket_factory`. With a range, port 0 takes the first free port from a
    /// random one on; `address_in_use` when `range_attempts_max` in a row are taken.
    [[nodiscard]] result<std::unique_ptr<datagram_socket>>
    open(const endpoint& local, const socket_options& options) noexcept override;

    /// Ports tried for one `open`: a bind that fails costs 0.3 us, so the search ends within a
    /// third of a millisecond.
    static constexpr std::uint32_t range_attempts_max = 1024;

private:
    std::optional<port_range> range_;
};

} // namespace tftp
