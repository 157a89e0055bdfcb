#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/socket/scratch.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <type_traits>

#include <netinet/in.h>
#include <sys/socket.h>

/// What goes with a datagram beside its bytes.
namespace tftp::detail {

/// Bytes that control messages with these contents take.
template <class... Values>
inline constexpr std::size_t control_size = (CMSG_SPACE(sizeof(Values)) + ...);

/// Room for what is received with one datagram: an address, a segment size and a time.
struct control_buffer {
    alignas(::cmsghdr) std::array<std::byte, control_size<::in6_pktinfo, int, ::timespec>> bytes;
};

/// The control messages of one send, an address and a segment size, built where sendmsg reads them.
class send_control {
public:
    template <class Value>
    void add(int level, int type, const Value& value) noexcept {
        ::cmsghdr header{};
        header.cmsg_len = CMSG_LEN(sizeof value);
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::memcpy(&buffer_[size_], &header, sizeof header);
        std::memcpy(&buffer_[size_ + CMSG_LEN(0)], &value, sizeof value);
        size_ += CMSG_SPACE(sizeof value);
    }

    void add_source(const endpoint& local) noexcept {
        if (local.family == address_family::ipv4) {
            ::in_pktinfo info{};
            std::memcpy(&info.ipi_spec_dst, local.address.data(), sizeof info.ipi_spec_dst);
            add(IPPROTO_IP, IP_PKTINFO, info);
        } else if (local.family == address_family::ipv6) {
            ::in6_pktinfo info{};
            std::memcpy(&info.ipi6_addr, local.address.data(), sizeof info.ipi6_addr);
            info.ipi6_ifindex = local.scope;
            add(IPPROTO_IPV6, IPV6_PKTINFO, info);
        }
    }

    void attach(::msghdr& message) noexcept {
        message.msg_control = size_ == 0 ? nullptr : buffer_.data();
        message.msg_controllen = size_;
    }

private:
    alignas(::cmsghdr) std::array<std::byte, control_size<::in6_pktinfo, int>> buffer_{};
    std::size_t size_ = 0;
};

/// Returns what a control message carries.
template <class Value>
[[nodiscard]] Value control_value(const ::cmsghdr& message) noexcept {
    static_assert(std::is_trivially_copyable_v<Value>);
    Value value{};
    std::memcpy(&value, CMSG_DATA(&message), sizeof value);
    return value;
}

/// Fills in what the control messages of a datagram of `size` bytes say.
void describe(::msghdr& message, std::size_t size, received& out) noexcept;

} // namespace tftp::detail
