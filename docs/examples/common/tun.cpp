#include "tun.hpp"

#include "socket.hpp"

#include <array>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace example {

namespace {

// The order of bytes within a word does not matter, as long as the result is stored likewise.
std::uint32_t sum_of(std::span<const std::byte> octets) noexcept {
    std::uint32_t sum = 0;
    for (; octets.size() >= 2; octets = octets.subspan(2)) {
        std::uint16_t word = 0;
        std::memcpy(&word, octets.data(), sizeof word);
        sum += word;
    }
    return sum;
}

std::uint16_t folded(std::uint32_t sum) noexcept {
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

} // namespace

tun_network::tun_network() {
    if (::unshare(CLONE_NEWNET) != 0) {
        // Who is nobody special may do so within a user namespace, where the system allows that.
        check(::unshare(CLONE_NEWUSER | CLONE_NEWNET), "a network namespace of our own");
    }
    device_.reset(check(::open("/dev/net/tun", O_RDWR | O_CLOEXEC), "/dev/net/tun"));
    ::ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    check(::ioctl(device_.get(), TUNSETIFF, &request), "TUNSETIFF"); // gives it a name, too

    const unique_fd socket = open_socket(AF_INET, SOCK_DGRAM);
    request.ifr_addr = *socket_address(kernel).data();
    check(::ioctl(socket.get(), SIOCSIFADDR, &request), "SIOCSIFADDR");
    request.ifr_netmask = *socket_address(tftp::endpoint::ipv4(255, 0, 0, 0, 0)).data();
    check(::ioctl(socket.get(), SIOCSIFNETMASK, &request), "SIOCSIFNETMASK");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
}

std::vector<std::byte> tun_network::receive() {
    constexpr int limit_ms = 5000;
    std::vector<std::byte> packet(2048);
    for (;;) {
        ::pollfd waiting{device_.get(), POLLIN, 0};
        if (check(::poll(&waiting, 1, limit_ms), "poll") == 0) {
            throw std::runtime_error("the kernel sent no packet");
        }
        const auto size = check(::read(device_.get(), packet.data(), packet.size()), "read");
        // IPv6 looks for neighbours here, too.
        if (size >= 20 && std::to_integer<int>(packet.front() >> 4) == 4) {
            packet.resize(static_cast<std::size_t>(size));
            return packet;
        }
    }
}

void tun_network::send(std::span<const std::byte> packet) {
    check(::write(device_.get(), packet.data(), packet.size()), "write");
}

std::uint16_t internet_checksum(std::span<const std::byte> octets) noexcept {
    return folded(sum_of(octets));
}

::iphdr ipv4_header(
    const tftp::endpoint& from, const tftp::endpoint& to, std::uint8_t protocol, std::size_t size
) noexcept {
    ::iphdr header{};
    header.version = 4;
    header.ihl = sizeof header / 4;
    header.ttl = 64;
    header.protocol = protocol;
    header.tot_len = htons(static_cast<std::uint16_t>(size));
    std::memcpy(&header.saddr, from.address.data(), sizeof header.saddr);
    std::memcpy(&header.daddr, to.address.data(), sizeof header.daddr);
    header.check = internet_checksum(std::as_bytes(std::span(&header, 1)));
    return header;
}

std::uint16_t segment_checksum(const ::iphdr& header, std::span<const std::byte> segment) noexcept {
    const std::array addresses{header.saddr, header.daddr};
    const std::uint32_t rest =
        std::uint32_t{htons(header.protocol)} + htons(static_cast<std::uint16_t>(segment.size()));
    return folded(sum_of(std::as_bytes(std::span(addresses))) + rest + sum_of(segment));
}

} // namespace example
