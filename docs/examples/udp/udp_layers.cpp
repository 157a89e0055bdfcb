// Shows: what each layer puts in front of a message on its way. The program sends one datagram to
// itself, captures it from the loopback interface as it is there, and takes it apart, header by
// header.
//
// Run:     sudo udp_layers hello
// Observe: 5 bytes of text travel in 47. Find your text at the end, the ports in the UDP header,
//          the addresses in the IPv4 header. Run it again: what changes, and what does not?
//
// Capturing needs CAP_NET_RAW: it shows what everybody on this host sends.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/text.hpp"

#include <tftp/base/bytes.hpp>

#include <array>
#include <cerrno>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/time.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;
using tftp::bytes_view;

unsigned u8(bytes_view octets, std::size_t at) {
    return std::to_integer<unsigned>(octets[at]);
}

/// Numbers are sent with their most significant octet first.
unsigned u16(bytes_view octets, std::size_t at) {
    return u8(octets, at) << 8 | u8(octets, at + 1);
}

std::string hex(unsigned value, int digits) {
    std::ostringstream out;
    out << std::hex << std::setfill('0') << std::setw(digits) << value;
    return out.str();
}

/// An address as it is written: 127.0.0.1 or 00:00:5e:00:53:01.
std::string address(bytes_view octets) {
    const bool is_ipv4 = octets.size() == 4;
    std::string out;
    for (std::size_t i = 0; i < octets.size(); ++i) {
        out += i == 0 ? "" : is_ipv4 ? "." : ":";
        out += is_ipv4 ? std::to_string(u8(octets, i)) : hex(u8(octets, i), 2);
    }
    return out;
}

void dump(const char* layer, bytes_view octets) {
    std::cout << layer << ", " << octets.size() << " bytes";
    for (std::size_t i = 0; i < octets.size(); ++i) {
        std::cout << (i % 16 == 0 ? "\n  " : " ") << hex(u8(octets, i), 2);
    }
    std::cout << '\n';
}

/// Adds 16-bit words with the carry brought back in, RFC 1071: what both checksums are made of.
unsigned ones_sum(bytes_view octets, unsigned sum = 0) {
    for (std::size_t i = 0; i < octets.size(); i += 2) {
        sum += u8(octets, i) << 8 | (i + 1 < octets.size() ? u8(octets, i + 1) : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/// IPv4, RFC 791 s.3.1.
void print_ipv4(bytes_view header) {
    dump("IPv4 header", header);
    const unsigned flags = u16(header, 6);
    std::cout << "  version " << (u8(header, 0) >> 4) << ", header of " << (u8(header, 0) & 15)
              << " words of 4 bytes, service 0x" << hex(u8(header, 1), 2) << '\n'
              << "  total length " << u16(header, 2) << ", identification 0x"
              << hex(u16(header, 4), 4) << '\n'
              << "  may " << ((flags & 0x4000) == 0 ? "" : "not ") << "be fragmented, "
              << (flags & 0x1fff) * 8 << " bytes were sent before this fragment\n"
              << "  time to live " << u8(header, 8) << ", protocol " << u8(header, 9) << " (UDP)\n"
              << "  header checksum 0x" << hex(u16(header, 10), 4)
              << (ones_sum(header) == 0xffff ? ", right" : ", wrong") << '\n'
              << "  from " << address(header.subspan(12, 4)) << " to "
              << address(header.subspan(16, 4)) << '\n';
}

/// UDP, RFC 768. Its checksum covers the addresses as well, in a pseudo-header that is not sent.
void print_udp(bytes_view ip_header, bytes_view udp) {
    const unsigned pseudo = ones_sum(ip_header.subspan(12, 8), IPPROTO_UDP + u16(udp, 4));
    const unsigned given = u16(udp, 6);
    dump("UDP header", udp.first(8));
    // Unfinished: Linux leaves it to the network card, and loopback has none.
    std::cout << "  from port " << u16(udp, 0) << " to port " << u16(udp, 2) << '\n'
              << "  length " << u16(udp, 4) << " = 8 and the payload\n"
              << "  checksum 0x" << hex(given, 4)
              << (ones_sum(udp, pseudo) == 0xffff ? ", right"
                  : given == pseudo ? ", unfinished: only the sum of the pseudo-header"
                                    : ", wrong")
              << '\n';
}

void print_layers(bytes_view frame) {
    const bytes_view ethernet = frame.first(ETH_HLEN);
    const bytes_view packet = frame.subspan(ETH_HLEN);
    const std::size_t header_size = (u8(packet, 0) & 15) * std::size_t{4};
    const bytes_view udp = packet.subspan(header_size, u16(packet, 2) - header_size);

    dump("Ethernet header", ethernet);
    std::cout << "  to " << address(ethernet.first(6)) << ", from "
              << address(ethernet.subspan(6, 6)) << ", type 0x" << hex(u16(ethernet, 12), 4)
              << " (IPv4)\n";
    print_ipv4(packet.first(header_size));
    print_udp(packet.first(header_size), udp);
    const bytes_view payload = udp.subspan(8);
    dump("payload", payload);
    const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
    std::cout << "  \"" << example::printable(text) << "\"\n"
              << payload.size() << " bytes of " << frame.size() << " are the message\n";
}

/// Returns a socket that gets a copy of each IPv4 frame that arrives on the loopback interface.
unique_fd open_capture() {
    // No protocol yet: nothing is to come before the interface is chosen.
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EPERM) {
        throw std::runtime_error("capturing needs CAP_NET_RAW: run it with sudo");
    }
    unique_fd capture(check(fd, "AF_PACKET"));
    ::sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_IP);
    where.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
    check(::bind(capture.get(), reinterpret_cast<const ::sockaddr*>(&where), sizeof where), "bind");
    const ::timeval limit{5, 0};
    check(
        ::setsockopt(capture.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO"
    );
    return capture;
}

/// Returns whether the frame holds the datagram that went from one of our ports to the other.
bool is_ours(bytes_view frame, std::uint16_t from, std::uint16_t to) {
    if (frame.size() < ETH_HLEN + 20 + 8 || u8(frame, ETH_HLEN + 9) != IPPROTO_UDP) {
        return false;
    }
    const bytes_view udp = frame.subspan(ETH_HLEN + (u8(frame, ETH_HLEN) & 15) * 4);
    return udp.size() >= 8 && u16(udp, 0) == from && u16(udp, 2) == to;
}

int show_layers(const example::arguments& given) {
    const std::string& text = given.text("TEXT");
    const unique_fd capture = open_capture();
    const socket_address loopback(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    const unique_fd receiver(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    const unique_fd sender(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    check(::bind(receiver.get(), loopback.data(), loopback.size()), "bind");

    const tftp::endpoint there = example::local_address(receiver);
    const socket_address to(there);
    check(::sendto(sender.get(), text.data(), text.size(), 0, to.data(), to.size()), "sendto");
    const std::uint16_t from = example::local_address(sender).port;

    std::array<std::byte, ETH_HLEN + 65536> memory{};
    for (;;) {
        const auto size = check(::recv(capture.get(), memory.data(), memory.size(), 0), "recv");
        const auto frame = bytes_view(memory).first(static_cast<std::size_t>(size));
        if (is_ours(frame, from, there.port)) {
            print_layers(frame);
            return 0;
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Takes a captured datagram apart, layer by layer.",
        {{"TEXT", "what the datagram says", "hello"}},
        show_layers
    );
}
