// Shows: every state of a TCP connection (RFC 9293 s.3.3.2), as the kernel has it. Most of them
// last less than a round trip. Here the other end of the wire is this program: it writes the
// segments by hand, through a TUN device in a network namespace of its own, and so each state
// stands still.
//
// Run:     tcp_states
// Observe: a line for each step, and the state in /proc/net/tcp behind it (no row there: CLOSED).

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/tcp_state.hpp"
#include "common/tun.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <span>
#include <string>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace {

using example::check;
using example::unique_fd;

constexpr tftp::endpoint near_host = example::tun_network::kernel;
constexpr tftp::endpoint far_host = tftp::endpoint::ipv4(10, 0, 0, 2, 0); // this program
constexpr std::uint8_t fin_ack = TH_FIN | TH_ACK;
constexpr std::uint8_t counted = TH_FIN | TH_SYN; // as an octet each: they are acknowledged

/// Returns the state of the kernel's socket between those ports; a listener has far port 0.
const char* state_of(unsigned near_port, unsigned far_port) {
    std::ifstream table("/proc/net/tcp");
    for (std::string line; std::getline(table, line);) {
        // "0: 0100000A:1F90 0200000A:0050 01 ...": addresses, ports and state in hexadecimal.
        std::array<unsigned, 3> row{};
        const char* const form = "%*d: %*x:%x %*x:%x %x";
        const int read = std::sscanf(line.c_str(), form, &row[0], &row[1], &row[2]);
        if (read == 3 && row[0] == near_port && row[1] == far_port) {
            return example::tcp_state_name(row[2]);
        }
    }
    return "CLOSED";
}

struct segment {
    ::iphdr ip{};
    ::tcphdr tcp{};
};

/// The other end: no state machine, only the numbers of the bytes.
struct far_end {
    example::tun_network& network;
    std::uint16_t near_port = 0;
    std::uint16_t far_port = 0;
    std::uint32_t next = 1000;
    std::uint32_t acknowledged = 0;

    /// Sends a segment without data. It acknowledges what was received so far.
    void send(std::uint8_t flags) {
        segment s{example::ipv4_header(far_host, near_host, IPPROTO_TCP, sizeof s), {}};
        s.tcp.th_sport = htons(far_port);
        s.tcp.th_dport = htons(near_port);
        s.tcp.th_seq = htonl(next);
        s.tcp.th_ack = htonl(acknowledged);
        s.tcp.th_off = sizeof s.tcp / 4;
        s.tcp.th_flags = flags;
        s.tcp.th_win = htons(65535);
        s.tcp.th_sum = example::segment_checksum(s.ip, std::as_bytes(std::span(&s.tcp, 1)));
        network.send(std::as_bytes(std::span(&s, 1)));
        next += (flags & counted) != 0 ? 1 : 0;
    }

    /// Takes segments off the wire until one has these flags; what is repeated is passed over.
    void receive(std::uint8_t flags) {
        segment s;
        do {
            const auto packet = network.receive();
            std::memcpy(&s, packet.data(), std::min(packet.size(), sizeof s));
        } while (s.ip.protocol != IPPROTO_TCP || ntohs(s.tcp.th_dport) != far_port ||
                 s.tcp.th_flags != flags);
        acknowledged = ntohl(s.tcp.th_seq) + ((flags & counted) != 0 ? 1 : 0);
    }

    /// Prints what happened at the near side, and the state it has now.
    void show(const char* what) const {
        std::cout << std::left << std::setw(40) << what << state_of(near_port, far_port) << '\n';
    }
};

unique_fd bound_socket(std::uint16_t port) {
    unique_fd socket = example::open_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    const example::socket_address address(near_host.with_port(port));
    check(::bind(socket.get(), address.data(), address.size()), "bind");
    return socket;
}

unique_fd connect_to(far_end& peer) {
    unique_fd socket = bound_socket(peer.near_port);
    peer.show("socket(), bind()");
    const example::socket_address to(far_host.with_port(peer.far_port));
    if (::connect(socket.get(), to.data(), to.size()) < 0 && errno != EINPROGRESS) {
        check(-1, "connect");
    }
    peer.receive(TH_SYN);
    peer.show("connect(): SYN goes out");
    peer.send(TH_SYN | TH_ACK);
    peer.receive(TH_ACK);
    peer.show("SYN ACK comes, ACK goes out");
    return socket;
}

void close_first(example::tun_network& network) {
    std::cout << "-- connects, and closes first\n";
    far_end peer{network, 40001, 80};
    const unique_fd socket = connect_to(peer);
    check(::shutdown(socket.get(), SHUT_WR), "shutdown");
    peer.receive(fin_ack);
    peer.show("shutdown(): FIN goes out");
    peer.send(TH_ACK);
    peer.show("its ACK comes");
    peer.send(fin_ack);
    peer.receive(TH_ACK);
    peer.show("FIN comes, ACK goes out");
}

void close_last(example::tun_network& network) {
    std::cout << "-- is connected to, and closes last\n";
    const unique_fd listener = bound_socket(80);
    check(::listen(listener.get(), 1), "listen");
    far_end{network, 80, 0}.show("listen(), and from now on");
    far_end peer{network, 80, 40002};
    peer.send(TH_SYN);
    peer.receive(TH_SYN | TH_ACK);
    peer.show("SYN comes, SYN ACK goes out");
    peer.send(TH_ACK);
    peer.show("its ACK comes");
    unique_fd socket(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    peer.send(fin_ack);
    peer.receive(TH_ACK);
    peer.show("accept(); FIN comes, ACK goes out");
    socket.reset();
    peer.receive(fin_ack);
    peer.show("close(): FIN goes out");
    peer.send(TH_ACK);
    peer.show("its ACK comes");
}

void close_together(example::tun_network& network) {
    std::cout << "-- connects, and both close at once\n";
    far_end peer{network, 40003, 80};
    const unique_fd socket = connect_to(peer);
    check(::shutdown(socket.get(), SHUT_WR), "shutdown");
    peer.show("shutdown(): FIN goes out");
    // The far end sends its FIN before it has seen the other one, so without an ACK for it.
    peer.send(fin_ack);
    peer.receive(fin_ack);
    peer.receive(TH_ACK);
    peer.show("FIN comes, ACK goes out");
    peer.send(TH_ACK);
    peer.show("the ACK of its own FIN comes");
}

int walk(const example::arguments&) {
    example::tun_network network;
    for (auto* const way : {close_first, close_last, close_together}) {
        way(network);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Walks TCP connections of the kernel through all their states.", {}, walk
    );
}
