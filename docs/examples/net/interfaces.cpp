// Shows: the addresses of this machine, and how they are set. getifaddrs lists them. What changes
// them, and what tells of routes, is rtnetlink: a message to the kernel, which acknowledges it or
// says why not.
//
// Run:     interfaces; as root interfaces --set 192.0.2.5/24 --on eth1 --gateway 192.0.2.1
// Observe: the same as ip address and ip route. Try it where it breaks nothing: unshare -rn bash,
//          then ip link add eth1 type veth.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "net/netlink.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ifaddrs.h>
#include <iostream>
#include <memory>
#include <netpacket/packet.h>
#include <string>

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace {

namespace netlink = example::netlink;
using example::check;
using tftp::address_family;
using tftp::address_to_string;

std::uint8_t system_family(const tftp::endpoint& address) {
    return address.family == address_family::ipv4 ? AF_INET : AF_INET6;
}

tftp::endpoint to_endpoint(const ::sockaddr& from) {
    example::socket_address out;
    const bool ipv4 = from.sa_family == AF_INET;
    std::memcpy(out.data(), &from, ipv4 ? sizeof(::sockaddr_in) : sizeof(::sockaddr_in6));
    return out.to_endpoint();
}

/// Prints what belongs to the link: state, MTU, MAC address.
void print_link(const ::ifaddrs& link) {
    ::ifreq asked{};
    std::memcpy(asked.ifr_name, link.ifa_name, std::strlen(link.ifa_name));
    const auto any = example::open_socket(AF_INET, SOCK_DGRAM);
    check(::ioctl(any.get(), SIOCGIFMTU, &asked), "ask for the MTU");
    // Up is what somebody wants of it; carrier, whether there is anything at the other end.
    std::cout << link.ifa_name << ": " << ((link.ifa_flags & IFF_UP) != 0 ? "up" : "down")
              << ((link.ifa_flags & IFF_RUNNING) != 0 ? ", carrier" : ", no carrier") << ", MTU "
              << asked.ifr_mtu;
    ::sockaddr_ll address{};
    std::memcpy(&address, link.ifa_addr, sizeof address);
    const std::size_t size = std::min<std::size_t>(address.sll_halen, sizeof address.sll_addr);
    for (std::size_t i = 0; i < size; ++i) {
        std::array<char, 3> octet{};
        std::snprintf(octet.data(), octet.size(), "%02x", address.sll_addr[i]);
        std::cout << (i == 0 ? ", MAC " : ":") << octet.data();
    }
    std::cout << '\n';
}

void print_address(const ::ifaddrs& entry) {
    const tftp::endpoint address = to_endpoint(*entry.ifa_addr);
    const tftp::endpoint mask = to_endpoint(*entry.ifa_netmask);
    int prefix = 0;
    for (const std::uint8_t octet : mask.address) {
        prefix += std::popcount(octet);
    }
    std::cout << entry.ifa_name << ": " << address_to_string(address) << '/' << prefix;
    if (mask.family == address_family::ipv4) {
        std::cout << ", netmask " << address_to_string(mask);
    }
    std::cout << '\n';
}

void print_interfaces() {
    ::ifaddrs* list = nullptr;
    check(::getifaddrs(&list), "getifaddrs");
    const std::unique_ptr<::ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
    // One entry for each link (AF_PACKET), then one for each address.
    for (const ::ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr != nullptr && each->ifa_addr->sa_family == AF_PACKET) {
            print_link(*each);
        } else if (each->ifa_addr != nullptr && each->ifa_netmask != nullptr) {
            print_address(*each);
        }
    }
}

void print_gateways() {
    for (const netlink::gateway& each : netlink::default_gateways()) {
        std::array<char, IF_NAMESIZE> name{};
        ::if_indextoname(each.index, name.data());
        std::cout << "gateway " << address_to_string(each.address) << " on " << name.data() << '\n';
    }
}

void set_address(const tftp::endpoint& address, std::uint8_t prefix, std::uint32_t index) {
    ::ifaddrmsg body{};
    body.ifa_family = system_family(address);
    body.ifa_prefixlen = prefix;
    body.ifa_index = index;
    netlink::request add(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
    add.add(IFA_LOCAL, address);
    add.add(IFA_ADDRESS, address);
    add.send("set the address");
    // An interface that is down may have addresses, but no routes.
    ::ifinfomsg link{};
    link.ifi_index = static_cast<int>(index);
    link.ifi_flags = IFF_UP;
    link.ifi_change = IFF_UP;
    netlink::request(RTM_NEWLINK, NLM_F_ACK, link).send("set the interface up");
}

void set_gateway(const tftp::endpoint& gateway, std::uint32_t index) {
    ::rtmsg body{};
    body.rtm_family = system_family(gateway);
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_protocol = RTPROT_STATIC;
    body.rtm_scope = RT_SCOPE_UNIVERSE;
    body.rtm_type = RTN_UNICAST;
    netlink::request route(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
    route.add(RTA_GATEWAY, gateway);
    route.add(RTA_OIF, index);
    route.send("set the gateway");
}

/// Does what --set, --on and --gateway ask for.
void set(const example::arguments& given) {
    const std::string& text = given.text("--set");
    const auto slash = text.find('/');
    const auto address = tftp::parse_endpoint(text.substr(0, slash), 0);
    const std::string digits = slash == std::string::npos ? "" : text.substr(slash + 1);
    const char* const end = digits.data() + digits.size();
    std::uint8_t prefix = 0;
    const auto [stop, wrong] = std::from_chars(digits.data(), end, prefix);
    if (!address || wrong != std::errc() || stop != end ||
        prefix > (address->family == address_family::ipv4 ? 32 : 128)) {
        throw example::usage_error("--set is ADDRESS/PREFIX, not '" + text + "'");
    }
    const std::uint32_t index = ::if_nametoindex(given.text("--on").c_str());
    if (index == 0) {
        throw example::usage_error("--on: there is no interface '" + given.text("--on") + "'");
    }
    const bool routed = given.given("--gateway");
    const auto gateway = routed ? given.address("--gateway") : *address;
    if (gateway.family != address->family) {
        throw example::usage_error("--gateway is of the other kind than --set");
    }
    set_address(*address, prefix, index);
    if (routed) {
        set_gateway(gateway, index);
    }
}

int body(const example::arguments& given) {
    if (given.given("--set") != given.given("--on") ||
        (given.given("--gateway") && !given.given("--set"))) {
        throw example::usage_error("--set and --on belong together, and --gateway to both");
    }
    if (given.given("--set")) {
        set(given);
    }
    print_interfaces();
    print_gateways();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Lists the interfaces and gateways of this machine, or sets the address of one.",
        {{"--set", "ADDRESS/PREFIX to give to an interface", ""},
         {"--on", "the interface", ""},
         {"--gateway", "the address of the default gateway", ""}},
        body
    );
}
