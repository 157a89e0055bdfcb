#include "socket/sockopt.hpp"

#include <tftp/socket/route_table.hpp>
#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <functional>

namespace tftp {

result<std::uint32_t> route_table::mtu(const endpoint& to, time_point now) noexcept {
    const endpoint host = to.with_port(0);
    answer& kept = answers_[std::hash<endpoint>()(host) % answers_.size()];
    if (kept.mtu != 0 && kept.to == host && now - kept.since < kept_for) {
        return kept.mtu;
    }
    const result<std::uint32_t> asked = ask(to);
    if (asked) {
        kept = {host, *asked, now};
    }
    return asked;
}

result<std::uint32_t> route_table::ask(const endpoint& to) noexcept {
    const bool ipv6 = to.family == address_family::ipv6;
    unique_fd& probe = ipv6 ? ipv6_ : ipv4_;
    if (!probe) {
        probe.reset(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!probe) {
            return last_error();
        }
    }
    // The socket keeps the source address chosen for the last question, which may be gone by now
    // or lead elsewhere: dissolve the association first.
    const socket_address nobody{endpoint{}};
    const socket_address destination(to);
    if (::connect(probe.get(), nobody.data(), nobody.size()) != 0 ||
        ::connect(probe.get(), destination.data(), destination.size()) != 0) {
        return last_error();
    }
    const result<int> mtu = ipv6 ? detail::get_option(probe.get(), IPPROTO_IPV6, IPV6_MTU)
                                 : detail::get_option(probe.get(), IPPROTO_IP, IP_MTU);
    if (!mtu) {
        return mtu.error();
    }
    return static_cast<std::uint32_t>(*mtu);
}

result<std::uint32_t> route_mtu(const endpoint& to) noexcept {
    return route_table().mtu(to, {});
}

std::uint16_t blksize_for_mtu(std::uint32_t mtu, address_family family) noexcept {
    constexpr std::uint32_t udp_header = 8;
    constexpr std::uint32_t data_header = 4;
    constexpr std::uint32_t blksize_min = 8;
    constexpr std::uint32_t blksize_max = 65464;
    const std::uint32_t ip_header = family == address_family::ipv6 ? 40 : 20;
    const std::uint32_t headers = ip_header + udp_header + data_header;
    const std::uint32_t room = mtu > headers ? mtu - headers : 0;
    return static_cast<std::uint16_t>(std::clamp(room, blksize_min, blksize_max));
}

} // namespace tftp
