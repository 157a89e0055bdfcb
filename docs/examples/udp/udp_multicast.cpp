// Shows: one datagram for many receivers. Multicast reaches those that joined a group, on one
// interface; its TTL says how many routers may pass it on. Broadcast reaches every host of the
// network, asked or not, so the system wants to hear that it is meant: SO_BROADCAST.
//
// Run:     udp_multicast receive                                      in two terminals
//          udp_multicast send                                         in a third
//          udp_multicast receive --group 127.255.255.255:4069
//          udp_multicast send --group 127.255.255.255:4069 everybody
// Observe: both receivers print it. `ip maddress show dev lo` lists the group while one of them
//          runs. The broadcast is refused before SO_BROADCAST is set.
//
// IPv4: IPv6 has no broadcast, and other names for the same options (RFC 3493 s.5.2).

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"
#include "common/text.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <net/if.h>
#include <netinet/in.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;
using tftp::to_string;

/// Sets an option of the socket that is an int.
void set(const unique_fd& socket, int level, int option, int value, const char* name) {
    check(::setsockopt(socket.get(), level, option, &value, sizeof value), name);
}

/// A group, or no group, and an interface: for joining and for sending.
::ip_mreqn membership(const tftp::endpoint& group, unsigned interface) {
    ::ip_mreqn out{};
    std::memcpy(&out.imr_multiaddr, group.address.data(), sizeof out.imr_multiaddr);
    out.imr_ifindex = static_cast<int>(interface);
    return out;
}

/// 224.0.0.0 to 239.255.255.255, RFC 5771; 239.0.0.0/8 is for use within a site, RFC 2365.
bool is_multicast(const tftp::endpoint& address) {
    return (address.address[0] & 0xf0) == 0xe0;
}

/// Receives a datagram, and tells what its header says beside the address: its TTL.
std::string_view receive_one(
    const unique_fd& socket, std::array<char, 65536>& memory, socket_address& from, int& ttl
) {
    alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof ttl)> notes{};
    ::iovec room{memory.data(), memory.size()};
    ::msghdr message{};
    message.msg_name = from.data();
    message.msg_namelen = socket_address::capacity;
    message.msg_iov = &room;
    message.msg_iovlen = 1;
    message.msg_control = notes.data();
    message.msg_controllen = notes.size();
    const ::ssize_t octets = ::recvmsg(socket.get(), &message, 0);
    const ::cmsghdr* const note = octets < 0 ? nullptr : CMSG_FIRSTHDR(&message);
    if (note != nullptr && note->cmsg_level == IPPROTO_IP && note->cmsg_type == IP_TTL) {
        std::memcpy(&ttl, CMSG_DATA(note), sizeof ttl);
    }
    // A signal that ends the wait is no failure: the caller looks for it.
    return {
        memory.data(),
        octets < 0 && errno == EINTR ? 0 : static_cast<std::size_t>(check(octets, "recvmsg"))};
}

int receive(const tftp::endpoint& group, unsigned interface) {
    const unique_fd socket(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    // Several receivers of one host: with this option of each, the port is theirs together, and
    // each gets a copy.
    set(socket, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    // Bound to the group, not to an address of this host: other datagrams to the port stay out.
    const socket_address here(group);
    check(::bind(socket.get(), here.data(), here.size()), "bind");
    set(socket, IPPROTO_IP, IP_RECVTTL, 1, "IP_RECVTTL");
    if (is_multicast(group)) {
        // Tells the interface to take the group in, and the routers (IGMP) to send it here. Closing
        // the socket leaves the group.
        const ::ip_mreqn joined = membership(group, interface);
        check(
            ::setsockopt(socket.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &joined, sizeof joined),
            "IP_ADD_MEMBERSHIP"
        );
        // Without it, Linux gives a socket what any other program of the host has joined as well.
        set(socket, IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL");
    }
    example::stop_signal stop;
    stop.shuts_down(socket.get());
    std::cout << "serving on " << to_string(example::local_address(socket)) << std::endl;

    std::array<char, 65536> memory{};
    for (;;) {
        socket_address from;
        int ttl = 0;
        const std::string_view text = receive_one(socket, memory, from, ttl);
        if (stop.asked()) {
            return 0;
        }
        std::cout << to_string(from.to_endpoint()) << ", ttl " << ttl << ": "
                  << example::printable(text) << std::endl;
    }
}

int send(
    const tftp::endpoint& group, unsigned interface, int ttl, bool loop, const std::string& text
) {
    const unique_fd socket(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    const socket_address to(group);
    if (is_multicast(group)) {
        // The routes of a host say nothing about groups: the program names the interface.
        const ::ip_mreqn through = membership({}, interface);
        check(
            ::setsockopt(socket.get(), IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through),
            "IP_MULTICAST_IF"
        );
        set(socket, IPPROTO_IP, IP_MULTICAST_TTL, ttl, "IP_MULTICAST_TTL");
        set(socket, IPPROTO_IP, IP_MULTICAST_LOOP, loop ? 1 : 0, "IP_MULTICAST_LOOP");
    } else {
        if (::sendto(socket.get(), "", 0, 0, to.data(), to.size()) == 0) {
            throw std::runtime_error(to_string(group) + " is no broadcast address here");
        }
        std::cout << "without SO_BROADCAST: " << std::strerror(errno) << '\n';
        set(socket, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST");
    }
    check(::sendto(socket.get(), text.data(), text.size(), 0, to.data(), to.size()), "sendto");
    std::cout << "sent to " << to_string(group) << '\n';
    return 0;
}

int run_mode(const example::arguments& given) {
    const std::string& mode = given.one_of("MODE", {"receive", "send"});
    const tftp::endpoint group = given.address("--group", 4069);
    const unsigned interface = ::if_nametoindex(given.text("--interface").c_str());
    const auto ttl = static_cast<int>(given.number("--ttl", 0, 255));
    if (group.family != tftp::address_family::ipv4) {
        throw example::usage_error("--group is an IPv4 address");
    }
    if (interface == 0) {
        throw example::usage_error("no such interface: " + given.text("--interface"));
    }
    if (mode == "receive") {
        return receive(group, interface);
    }
    if (group.port == 0) {
        throw example::usage_error("--group needs the port that the receivers have");
    }
    return send(group, interface, ttl, !given.given("--no-loop"), given.text("TEXT"));
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends a datagram to many, or receives such.",
        {{"MODE", "receive or send"},
         {"TEXT", "what to send", "hello"},
         {"--group", "multicast group, or broadcast address", "239.255.0.69:4069"},
         {"--interface", "where the group is joined or sent to", "lo"},
         {"--ttl", "how many hops a multicast datagram may go", "1"},
         {"--no-loop!", "receivers on this host get no copy"}},
        run_mode
    );
}
