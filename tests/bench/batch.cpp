#include "bench/batch.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <netinet/in.h>
#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace tftp::bench {

receive_ring::receive_ring() : storage_(slot_size * slot_count) {
    for (std::size_t i = 0; i < slot_count; ++i) {
        slots_[i].vector = {storage_.data() + i * slot_size, slot_size};
        headers_[i].msg_hdr.msg_iov = &slots_[i].vector;
        headers_[i].msg_hdr.msg_iovlen = 1;
        headers_[i].msg_hdr.msg_control = slots_[i].control.data();
    }
}

int receive_ring::receive(int fd, int flags) noexcept {
    for (mmsghdr& header : headers_) {
        header.msg_hdr.msg_controllen = sizeof(slot::control);
    }
    return ::recvmmsg(fd, headers_.data(), slot_count, flags, nullptr);
}

std::size_t receive_ring::segment_size(int index) const noexcept {
    const mmsghdr& header = headers_[std::size_t(index)];
    // A datagram of no bytes is a segment, too.
    const std::size_t whole = std::max<std::size_t>(header.msg_len, 1);
    const cmsghdr* control = CMSG_FIRSTHDR(&header.msg_hdr);
    if (control == nullptr || control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) {
        return whole;
    }
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return size > 0 ? std::size_t(size) : whole;
}

void enable_coalescing(int fd) {
    const int on = 1;
    if (::setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0) {
        throw std::system_error(errno, std::generic_category(), "UDP_GRO");
    }
}

void size_buffers(int fd, std::size_t datagrams, std::size_t size) noexcept {
    // The kernel counts buffers of a power of two, and doubles what is asked.
    constexpr std::size_t overhead = 1024;
    const int wanted = int(datagrams * (size + overhead));
    for (const auto& [forced, plain] :
         {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}}) {
        if (::setsockopt(fd, SOL_SOCKET, forced, &wanted, sizeof wanted) != 0) {
            ::setsockopt(fd, SOL_SOCKET, plain, &wanted, sizeof wanted);
        }
    }
}

bool send_segmented(int fd, bytes_view octets, std::size_t segment) noexcept {
    if (octets.size() <= segment) {
        return ::send(fd, octets.data(), octets.size(), 0) >= 0;
    }
    const iovec whole{const_cast<std::byte*>(octets.data()), octets.size()};
    return send_segmented(fd, std::span(&whole, 1), segment);
}

bool send_segmented(int fd, std::span<const iovec> parts, std::size_t segment) noexcept {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = std::uint16_t(segment);
    std::memcpy(CMSG_DATA(header), &size, sizeof size);
    return ::sendmsg(fd, &message, 0) >= 0;
}

} // namespace tftp::bench
