#include "base/iovec.hpp"
#include "runtime/random.hpp"
#include "socket/cmsg.hpp"
#include "socket/sockopt.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <algorithm>
#include <array>
#include <climits>
#include <new>
#include <utility>

#include <linux/errqueue.h>

namespace tftp {

namespace {

using detail::control_buffer;
using detail::control_value;
using detail::get_option;
using detail::send_control;
using detail::set_option;

bool is(const error_code& error, int number) noexcept {
    return error.value() == number && error.category() == boost::system::system_category();
}

/// Whether the kernel, or the filter of a container, may not know the call or the option at all.
bool is_unknown(const error_code& error) noexcept {
    return is(error, ENOSYS) || is(error, EPERM) || is(error, ENOPROTOOPT) || is(error, EOPNOTSUPP);
}

/// The kernel grants more than net.core.rmem_max and wmem_max to the privileged only; what anybody
/// else gets is cut silently, so `receive_buffer` tells.
error_code set_buffer(int fd, int option, int forcing, std::size_t bytes) noexcept {
    const int value = static_cast<int>(std::min<std::size_t>(bytes, INT_MAX / 2));
    int granted = 0;
    ::socklen_t size = sizeof granted;
    if (::getsockopt(fd, SOL_SOCKET, option, &granted, &size) == 0 && granted / 2 >= value) {
        return {};
    }
    if (!set_option(fd, SOL_SOCKET, forcing, value)) {
        return {};
    }
    return set_option(fd, SOL_SOCKET, option, value);
}

/// Leaves out what a port can do without, where that is refused.
error_code unless_unknown(const error_code& error) noexcept {
    return is_unknown(error) ? error_code() : error;
}

error_code apply(int fd, bool ipv6, const socket_options& options) noexcept {
    // Without the don't-fragment flag a block larger than some hop still arrives. With it (the
    // default) it would vanish where ICMP is filtered, and forged ICMP could end a transfer.
    error_code error = ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT)
                            : set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    if (!error && options.receive_buffer != 0) {
        error = unless_unknown(set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, options.receive_buffer));
    }
    if (!error && options.send_buffer != 0) {
        error = unless_unknown(set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, options.send_buffer));
    }
    if (!error && options.refusals) {
        // Without it a peer that is gone shows by its silence.
        error = unless_unknown(
            ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
                 : set_option(fd, IPPROTO_IP, IP_RECVERR, 1)
        );
    }
    if (!error && options.local_addresses) {
        error = ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                     : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    if (!error && options.waiting_times) {
        error = unless_unknown(set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
    }
    if (!error && options.coalesce) {
        // Kernels before 5.0 do not know it: datagrams then come one by one.
        static_cast<void>(set_option(fd, SOL_UDP, UDP_GRO, 1));
    }
    return error;
}

/// Does nothing for an empty name.
error_code bind_to_device(int fd, const std::array<char, 16>& name) noexcept {
    if (name.front() == '\0' ||
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), sizeof name) == 0) {
        return {};
    }
    return last_error();
}

result<unique_fd> open_socket(address_family family, const socket_options& options) noexcept {
    if (family == address_family::none) {
        return make_error_code(boost::system::errc::address_family_not_supported);
    }
    const bool ipv6 = family == address_family::ipv6;
    unique_fd fd(
        ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP)
    );
    if (!fd) {
        return last_error();
    }
    if (ipv6) {
        if (const error_code error = set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
            return error;
        }
    }
    if (const error_code error = bind_to_device(fd.get(), options.device)) {
        return error;
    }
    return fd;
}

error_code bind_to(int fd, const endpoint& local) noexcept {
    const socket_address address(local);
    return ::bind(fd, address.data(), address.size()) == 0 ? error_code() : last_error();
}

result<endpoint> bound_endpoint(int fd) noexcept {
    socket_address address;
    ::socklen_t size = socket_address::capacity;
    if (::getsockname(fd, address.data(), &size) != 0) {
        return last_error();
    }
    return address.to_endpoint();
}

/// sendmsg reads through pointers that are not const.
::msghdr message_to(socket_address& peer, std::span<const ::iovec> parts) noexcept {
    ::msghdr message{};
    message.msg_name = peer.data();
    message.msg_namelen = peer.size();
    message.msg_iov = const_cast<::iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    return message;
}

::iovec vector_of(bytes_view bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

/// What a receive that failed has brought: nothing, when nothing was queued.
result<std::span<const received>> none_or_error() noexcept {
    if (errno == EAGAIN) {
        return std::span<const received>();
    }
    return last_error();
}

error_code send_message(int fd, const ::msghdr& message, int flags) noexcept {
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(fd, &message, flags);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? last_error() : error_code();
}

/// One datagram without control messages, as blocks and ACKs of a lockstep transfer are: sendmsg
/// would have its header and its vector copied into the kernel as well.
error_code send_plain(int fd, const socket_address& peer, bytes_view datagram) noexcept {
    ssize_t sent = 0;
    do {
        sent =
            ::sendto(fd, datagram.data(), datagram.size(), MSG_DONTWAIT, peer.data(), peer.size());
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? last_error() : error_code();
}

} // namespace

udp_socket::udp_socket(unique_fd fd, const endpoint& local, const socket_options& options) noexcept
    : fd_(std::move(fd)),
      local_(local),
      refusals_(options.refusals),
      local_addresses_(options.local_addresses),
      coalesces_(options.coalesce),
      sends_(options.sends) {}

result<std::unique_ptr<udp_socket>>
udp_socket::make(unique_fd fd, const socket_options& options) noexcept {
    const result<endpoint> local = bound_endpoint(fd.get());
    if (!local) {
        return local.error();
    }
    const bool ipv6 = local->family == address_family::ipv6;
    if (const error_code error = apply(fd.get(), ipv6, options)) {
        return error;
    }
    std::unique_ptr<udp_socket> port(new (std::nothrow) udp_socket(std::move(fd), *local, options));
    if (port == nullptr) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    return port;
}

result<std::unique_ptr<udp_socket>>
udp_socket::open(const endpoint& local, const socket_options& options) noexcept {
    result<unique_fd> fd = open_socket(local.family, options);
    if (!fd) {
        return fd.error();
    }
    if (const error_code error = bind_to(fd->get(), local)) {
        return error;
    }
    return make(std::move(*fd), options);
}

result<std::unique_ptr<udp_socket>>
udp_socket::open_shared(const udp_socket& first, const socket_options& options) noexcept {
    result<unique_fd> fd = open_socket(first.local_.family, options);
    if (!fd) {
        return fd.error();
    }
    if (const error_code error = set_option(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
        return error;
    }
    if (const error_code error = bind_to(fd->get(), first.local_)) {
        return error;
    }
    return make(std::move(*fd), options);
}

result<std::unique_ptr<udp_socket>>
udp_socket::adopt(unique_fd fd, const socket_options& options) noexcept {
    const result<int> protocol = get_option(fd.get(), SOL_SOCKET, SO_PROTOCOL);
    if (!protocol) {
        return protocol.error();
    }
    const result<endpoint> local = bound_endpoint(fd.get());
    if (*protocol != IPPROTO_UDP || !local || local->port == 0) {
        return make_error_code(boost::system::errc::invalid_argument);
    }
    if (local->family == address_family::ipv6) {
        const result<int> only = get_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
        if (!only || *only == 0) {
            return make_error_code(boost::system::errc::invalid_argument);
        }
    }
    return make(std::move(fd), options);
}

error_code udp_socket::share() noexcept {
    return set_option(fd_.get(), SOL_SOCKET, SO_REUSEPORT, 1);
}

/// One datagram without control messages, as blocks and ACKs of a lockstep transfer are.
result<std::span<const received>> udp_socket::receive_plain(scratch& memory) noexcept {
    const bytes_span slot = memory.slot(0);
    socket_address from;
    ::ssize_t size = 0;
    do {
        ::socklen_t from_size = socket_address::capacity;
        size =
            ::recvfrom(fd_.get(), slot.data(), slot.size(), MSG_DONTWAIT, from.data(), &from_size);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return none_or_error();
    }
    received& message = memory.messages().front();
    message.bytes = slot.first(static_cast<std::size_t>(size));
    message.segment = std::max<std::size_t>(message.bytes.size(), 1);
    message.from = from.to_endpoint();
    message.to = {};
    message.to_group = false;
    message.waited = {};
    return std::span<const received>(&message, 1);
}

/// As recvmmsg(2), which it calls unless a kernel or a filter refuses that.
int udp_socket::receive_messages(std::span<::mmsghdr> headers) noexcept {
    if (headers.size() > 1 && !batches_refused_) {
        int count = 0;
        do {
            count = ::recvmmsg(
                fd_.get(),
                headers.data(),
                static_cast<unsigned>(headers.size()),
                MSG_DONTWAIT,
                nullptr
            );
        } while (count < 0 && errno == EINTR);
        if (count >= 0 || !is_unknown(last_error())) {
            return count;
        }
        batches_refused_ = true;
    }
    int count = 0;
    for (::mmsghdr& header : headers) {
        ssize_t size = 0;
        do {
            size = ::recvmsg(fd_.get(), &header.msg_hdr, MSG_DONTWAIT);
        } while (size < 0 && errno == EINTR);
        if (size < 0) {
            // What came before is taken; an error that is not over shows with the next call.
            return count == 0 ? -1 : count;
        }
        header.msg_len = static_cast<unsigned>(size);
        ++count;
    }
    return count;
}

result<std::span<const received>>
udp_socket::receive_batch(scratch& memory, std::size_t messages_max) noexcept {
    TFTP_ASSERT(messages_max >= 1 && messages_max <= scratch::receive_slots);
    if (messages_max == 1 && !local_addresses_ && !coalesces_) {
        return receive_plain(memory);
    }
    // Left without initial values: only what this call uses is set, and all of it would be 5 KiB.
    ::mmsghdr headers[scratch::receive_slots];
    ::iovec vectors[scratch::receive_slots];
    control_buffer controls[scratch::receive_slots];
    std::array<socket_address, scratch::receive_slots> senders;
    for (std::size_t i = 0; i < messages_max; ++i) {
        const bytes_span slot = memory.slot(i);
        vectors[i] = {slot.data(), slot.size()};
        headers[i] = {};
        ::msghdr& message = headers[i].msg_hdr;
        message.msg_name = senders[i].data();
        message.msg_namelen = socket_address::capacity;
        message.msg_iov = &vectors[i];
        message.msg_iovlen = 1;
        message.msg_control = controls[i].bytes.data();
        message.msg_controllen = controls[i].bytes.size();
    }
    const int count = receive_messages(std::span(headers, messages_max));
    if (count < 0) {
        return none_or_error();
    }
    const std::span<received> messages = memory.messages().first(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const std::size_t size = headers[i].msg_len;
        messages[i].bytes = memory.slot(i).first(size);
        messages[i].from = senders[i].to_endpoint();
        detail::describe(headers[i].msg_hdr, size, messages[i]);
    }
    return std::span<const received>(messages);
}

/// Whether a segmented send failed because the kernel will not cut it, which is kept in mind.
bool udp_socket::refused_segments(const error_code& error, std::size_t segment) noexcept {
    if (is(error, EIO)) {
        // The device or a transformation on the way (IPsec) cannot do it at any size.
        segment_refused_ = 0;
        return true;
    }
    if (is(error, EINVAL) || is(error, EMSGSIZE)) {
        // Larger than the route's MTU; or, EINVAL only, not for this socket or not in this
        // kernel at all, which then shows once more for each smaller size.
        segment_refused_ = segment;
        return true;
    }
    return false;
}

result<std::uint16_t> udp_socket::send_run(
    const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
) noexcept {
    TFTP_ASSERT(segment >= 1 && !run.empty());
    const std::size_t count = (run.size() + segment - 1) / segment;
    TFTP_ASSERT(count <= scratch::segments_max);
    if (count == 1) {
        if (const error_code error = send(peer, local, run)) {
            return error;
        }
        return std::uint16_t{1};
    }
    if (segments(segment)) {
        const ::iovec whole = vector_of(run);
        const error_code error =
            send_parts(peer, local, std::span(&whole, 1), segment, MSG_DONTWAIT);
        if (!error || is(error, ENOBUFS)) {
            return static_cast<std::uint16_t>(count);
        }
        if (!refused_segments(error, segment)) {
            return error;
        }
    }
    return send_each(peer, local, run, segment);
}

error_code udp_socket::cork(
    const endpoint& peer, const endpoint& local, std::span<const ::iovec> parts, std::size_t segment
) noexcept {
    if (!segments(segment)) {
        return make_error_code(boost::system::errc::operation_not_supported);
    }
    segment_held_ = segment;
    // A single datagram goes as a segment, too: the processor would have to sum up one that is held
    // otherwise, here and at the receiver.
    const error_code error = send_parts(peer, local, parts, segment, MSG_DONTWAIT | MSG_MORE);
    return refused_segments(error, segment)
               ? make_error_code(boost::system::errc::operation_not_supported)
               : error;
}

error_code udp_socket::release() noexcept {
    // Nothing more, and no MSG_MORE.
    const error_code error = send_message(fd_.get(), ::msghdr{}, MSG_DONTWAIT);
    if (refused_segments(error, segment_held_)) {
        return make_error_code(boost::system::errc::operation_not_supported);
    }
    return is(error, ENOBUFS) ? error_code() : error;
}

void udp_socket::drop_corked() noexcept {
    // What is held goes with a send that fails, as one from nowhere does. (Of the largest size it
    // fails as too large, which the kernel also reports as a refusal.)
    const ::iovec nowhere{nullptr, 1};
    ::msghdr message{};
    message.msg_iov = const_cast<::iovec*>(&nowhere);
    message.msg_iovlen = 1;
    static_cast<void>(send_message(fd_.get(), message, MSG_DONTWAIT | MSG_MORE));
}

/// segment: 0 for a single datagram.
error_code udp_socket::send_parts(
    const endpoint& peer,
    const endpoint& local,
    std::span<const ::iovec> parts,
    std::size_t segment,
    int flags
) noexcept {
    socket_address destination(peer);
    ::msghdr message = message_to(destination, parts);
    send_control control;
    if (local_addresses_) {
        control.add_source(local);
    }
    if (segment != 0) {
        control.add(SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment));
    }
    control.attach(message);
    return send_message(fd_.get(), message, flags);
}

/// As sendmmsg(2), which it calls unless a kernel or a filter refuses that; it may send fewer.
int udp_socket::send_messages(std::span<::mmsghdr> headers) noexcept {
    if (!batches_refused_) {
        const int sent = ::sendmmsg(
            fd_.get(), headers.data(), static_cast<unsigned>(headers.size()), MSG_DONTWAIT
        );
        // A firewall's EPERM is the answer to sendmsg, too.
        if (sent >= 0 || !is_unknown(last_error())) {
            return sent;
        }
    }
    if (::sendmsg(fd_.get(), &headers.front().msg_hdr, MSG_DONTWAIT) < 0) {
        return -1;
    }
    batches_refused_ = true;
    return 1;
}

result<std::uint16_t> udp_socket::send_each(
    const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
) noexcept {
    socket_address destination(peer);
    send_control control;
    if (local_addresses_) {
        control.add_source(local);
    }
    // Left without initial values: most runs are short.
    ::mmsghdr headers[scratch::segments_max];
    ::iovec vectors[scratch::segments_max];
    unsigned count = 0;
    for (bytes_view rest = run; !rest.empty(); ++count) {
        const bytes_view datagram = rest.first(std::min(segment, rest.size()));
        rest = rest.subspan(datagram.size());
        vectors[count] = vector_of(datagram);
        headers[count].msg_hdr = message_to(destination, std::span(&vectors[count], 1));
        headers[count].msg_len = 0;
        control.attach(headers[count].msg_hdr);
    }
    const unsigned burst = sends_ == segmentation::single ? 1 : count;
    unsigned taken = 0;
    while (taken < count) {
        const int sent =
            send_messages(std::span(headers).subspan(taken, std::min(burst, count - taken)));
        if (sent > 0) {
            taken += static_cast<unsigned>(sent);
        } else if (errno == ENOBUFS) {
            ++taken;
        } else if (errno != EINTR) {
            if (taken == 0) {
                return last_error();
            }
            break;
        }
    }
    return static_cast<std::uint16_t>(taken);
}

error_code
udp_socket::send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept {
    error_code error;
    if (local_addresses_) {
        const ::iovec whole = vector_of(datagram);
        error = send_parts(peer, local, std::span(&whole, 1), 0, MSG_DONTWAIT);
    } else {
        error = send_plain(fd_.get(), socket_address(peer), datagram);
    }
    return is(error, ENOBUFS) ? error_code() : error;
}

std::optional<refusal> udp_socket::next_refusal() noexcept {
    if (!refusals_) {
        return std::nullopt;
    }
    // An ICMP error quotes the start of the datagram; nobody reads it.
    std::array<std::byte, 1> quoted{};
    // The extended error is followed by the address of the host that reported it.
    alignas(::cmsghdr) std::array<
        std::byte,
        CMSG_SPACE(sizeof(::sock_extended_err) + sizeof(::sockaddr_in6)) +
            CMSG_SPACE(sizeof(::in6_pktinfo))>
        control{};
    for (;;) {
        socket_address destination;
        const ::iovec bytes{quoted.data(), quoted.size()};
        ::msghdr message = message_to(destination, std::span(&bytes, 1));
        message.msg_namelen = socket_address::capacity;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (::recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return std::nullopt;
        }
        for (::cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
            const bool extended = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                                  (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
            if (!extended) {
                continue;
            }
            const auto error = control_value<::sock_extended_err>(*c);
            const bool refused = error.ee_origin == SO_EE_ORIGIN_ICMP ||
                                 error.ee_origin == SO_EE_ORIGIN_ICMP6 ||
                                 error.ee_origin == SO_EE_ORIGIN_LOCAL;
            if (refused && error.ee_errno != 0) {
                return refusal{
                    destination.to_endpoint(),
                    {static_cast<int>(error.ee_errno), boost::system::system_category()}};
            }
        }
    }
}

std::size_t udp_socket::receive_buffer() const noexcept {
    const result<int> granted = get_option(fd_.get(), SOL_SOCKET, SO_RCVBUF);
    return granted ? static_cast<std::size_t>(*granted) : 0;
}

udp_socket_factory::udp_socket_factory(const port_range& range) noexcept : range_(range) {
    TFTP_ASSERT(range.first >= 1 && range.first <= range.last);
}

result<std::unique_ptr<datagram_socket>>
udp_socket_factory::open(const endpoint& local, const socket_options& options) noexcept {
    result<unique_fd> fd = open_socket(local.family, options);
    if (!fd) {
        return fd.error();
    }
    error_code error;
    if (!range_ || local.port != 0) {
        error = bind_to(fd->get(), local);
    } else {
        // A port that strangers can guess makes a transfer easier to disturb (RFC 1350 s.4).
        const auto random = static_cast<std::uint32_t>(random_bits());
        const std::uint32_t size = range_->last - range_->first + std::uint32_t{1};
        for (std::uint32_t i = 0; i < std::min(size, range_attempts_max); ++i) {
            const std::uint32_t port = range_->first + (random % size + i) % size;
            error = bind_to(fd->get(), local.with_port(static_cast<std::uint16_t>(port)));
            if (!is(error, EADDRINUSE)) {
                break;
            }
        }
    }
    if (error) {
        return error;
    }
    result<std::unique_ptr<udp_socket>> port = udp_socket::make(std::move(*fd), options);
    if (!port) {
        return port.error();
    }
    return std::unique_ptr<datagram_socket>(std::move(*port));
}

} // namespace tftp
