#include "socket/cmsg.hpp"

#include "socket/sockopt.hpp"

#include <algorithm>
#include <chrono>

namespace tftp::detail {

namespace {

/// Link-local addresses mean something only together with their interface.
bool is_link_local(const ::in6_addr& address) noexcept {
    return IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MC_LINKLOCAL(&address) ||
           IN6_IS_ADDR_MC_NODELOCAL(&address);
}

/// By the clock that stamps datagrams. It may be set meanwhile: never less than 0.
duration time_since(const ::timespec& stamp) noexcept {
    using std::chrono::nanoseconds;
    using std::chrono::seconds;
    ::timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const duration passed =
        seconds(now.tv_sec - stamp.tv_sec) + nanoseconds(now.tv_nsec - stamp.tv_nsec);
    return std::max(passed, duration::zero());
}

} // namespace

void describe(::msghdr& message, std::size_t size, received& out) noexcept {
    out.segment = std::max<std::size_t>(size, 1);
    out.to = {};
    out.waited = {};
    for (::cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            const int segment = control_value<int>(*c);
            if (segment > 0) {
                out.segment = std::min(out.segment, static_cast<std::size_t>(segment));
            }
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            const auto info = control_value<::in_pktinfo>(*c);
            std::memcpy(out.to.address.data(), &info.ipi_addr, sizeof info.ipi_addr);
            // The address to answer from differs from the one asked when that is a group's.
            out.to_group = info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr;
            out.to.family = address_family::ipv4;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            const auto info = control_value<::in6_pktinfo>(*c);
            std::memcpy(out.to.address.data(), &info.ipi6_addr, sizeof info.ipi6_addr);
            out.to_group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
            out.to.scope = is_link_local(info.ipi6_addr) ? info.ipi6_ifindex : 0;
            out.to.family = address_family::ipv6;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            out.waited = time_since(control_value<::timespec>(*c));
        }
    }
}

} // namespace tftp::detail
