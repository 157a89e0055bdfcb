// Shows: the time to live of an IP packet. The sender sets it (IP_TTL), each router takes one off,
// and who finds none left drops the packet and tells the sender with ICMP. The receiver can see
// what was left (IP_RECVTTL). That is all that traceroute needs.
//
// Run:     ttl            over loopback, where no router is
//          ttl --hops 3   through routers in a network namespace of its own; this program is the
//                         routers, the sockets and the ICMP errors are those of the kernel
// Observe: the TTL that arrives, and from which router the error comes.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/tun.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;

void switch_on(const unique_fd& socket, int option) {
    const int on = 1;
    check(::setsockopt(socket.get(), IPPROTO_IP, option, &on, sizeof on), "setsockopt");
}

void send_with_ttl(const unique_fd& socket, int ttl) {
    check(::setsockopt(socket.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), "IP_TTL");
    check(::send(socket.get(), "hello", 5, 0), "send");
}

unique_fd connected_to(const tftp::endpoint& where) {
    unique_fd socket = example::open_socket(AF_INET, SOCK_DGRAM);
    const socket_address address(where);
    check(::connect(socket.get(), address.data(), address.size()), "connect");
    return socket;
}

/// Receives a datagram, or an error (MSG_ERRQUEUE), and copies what the kernel says about it.
template <class Told>
Told receive(const unique_fd& socket, int flags, int kind) {
    std::array<char, 64> octets{};
    ::iovec data{octets.data(), octets.size()};
    alignas(::cmsghdr) std::array<char, 256> control{};
    ::msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    check(::recvmsg(socket.get(), &message, flags), "recvmsg");
    for (::cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == kind) {
            Told told{};
            std::memcpy(&told, CMSG_DATA(c), sizeof told);
            return told;
        }
    }
    throw std::runtime_error("the kernel says nothing about it");
}

int over_loopback() {
    const unique_fd receiver = example::open_socket(AF_INET, SOCK_DGRAM);
    const socket_address any(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    check(::bind(receiver.get(), any.data(), any.size()), "bind");
    switch_on(receiver, IP_RECVTTL);
    const unique_fd sender = connected_to(example::local_address(receiver));
    for (const int ttl : {1, 64, 255}) {
        send_with_ttl(sender, ttl);
        std::cout << "sent with TTL " << ttl << ", received with TTL "
                  << receive<int>(receiver, 0, IP_TTL) << std::endl;
    }
    return 0;
}

struct datagram {
    ::iphdr ip{};
    ::udphdr udp{};
};

/// What a router sends back: the beginning of the packet, so that the sender knows which it was.
struct time_exceeded {
    ::iphdr ip{};
    ::icmphdr icmp{};
    datagram dropped;
};

/// Plays routers 10.0.1.1, 10.0.2.1, ... and the host behind them for the next datagram. Returns
/// the TTL it has there; empty when a router dropped it.
std::optional<int> forward(example::tun_network& network, int routers) {
    datagram sent;
    do {
        const auto packet = network.receive();
        std::memcpy(&sent, packet.data(), std::min(packet.size(), sizeof sent));
    } while (sent.ip.protocol != IPPROTO_UDP);

    for (int router = 1; router <= routers; ++router) {
        if (--sent.ip.ttl > 0) {
            continue;
        }
        const auto own = tftp::endpoint::ipv4(10, 0, static_cast<std::uint8_t>(router), 1, 0);
        time_exceeded answer;
        answer.ip = example::ipv4_header(own, network.kernel, IPPROTO_ICMP, sizeof answer);
        answer.icmp.type = ICMP_TIME_EXCEEDED;
        answer.icmp.code = ICMP_EXC_TTL;
        answer.dropped = sent;
        const auto all = std::as_bytes(std::span(&answer, 1));
        answer.icmp.checksum = example::internet_checksum(all.subspan(sizeof answer.ip));
        network.send(all);
        return std::nullopt;
    }
    return sent.ip.ttl;
}

/// The error, and who sent it, as IP_RECVERR gives them.
struct reported {
    ::sock_extended_err error;
    ::sockaddr_in from;
};

int through_routers(int routers) {
    example::tun_network network;
    const unique_fd sender = connected_to(tftp::endpoint::ipv4(10, 9, 9, 9, 7));
    switch_on(sender, IP_RECVERR);
    for (int ttl = 1; ttl <= routers + 1; ++ttl) {
        send_with_ttl(sender, ttl);
        std::cout << "sent with TTL " << ttl << ", ";
        if (const auto left = forward(network, routers)) {
            std::cout << "received with TTL " << *left << std::endl;
            continue;
        }
        // An error on the queue shows as POLLERR, which is always waited for.
        ::pollfd waiting{sender.get(), 0, 0};
        check(::poll(&waiting, 1, 5000), "poll");
        const auto told = receive<reported>(sender, MSG_ERRQUEUE | MSG_DONTWAIT, IP_RECVERR);
        socket_address router;
        std::memcpy(router.data(), &told.from, sizeof told.from);
        std::cout << "ICMP type " << int{told.error.ee_type} << " code " << int{told.error.ee_code}
                  << " from " << tftp::address_to_string(router.to_endpoint()) << ": "
                  << std::strerror(static_cast<int>(told.error.ee_errno)) << std::endl;
    }
    return 0;
}

int show(const example::arguments& given) {
    const auto routers = static_cast<int>(given.number("--hops", 0, 254));
    return routers == 0 ? over_loopback() : through_routers(routers);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends datagrams with a time to live, and shows what is left of it.",
        {{"--hops", "routers on the way; 0: loopback", "0"}},
        show
    );
}
