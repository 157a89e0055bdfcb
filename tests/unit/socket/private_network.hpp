#pragma once

#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tftp::test {

/// Sets the loopback interface of the calling thread's network to `mtu` bytes and brings it up.
inline bool set_up_loopback(int mtu) {
    const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_mtu = mtu;
    bool good = ::ioctl(control, SIOCSIFMTU, &request) == 0;
    request.ifr_flags = IFF_UP;
    good = good && ::ioctl(control, SIOCSIFFLAGS, &request) == 0;
    ::close(control);
    return good;
}

/// Gives the loopback interface of the calling thread's network another IPv6 address.
inline bool add_loopback_address(const ::in6_addr& address) {
    // The kernel's struct in6_ifreq, whose header does not go together with the C library's.
    struct {
        ::in6_addr address;
        std::uint32_t prefix;
        int interface;
    } request{address, 128, static_cast<int>(::if_nametoindex("lo"))};

    const int control = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = ::ioctl(control, SIOCSIFADDR, &request) == 0;
    // The kernel makes the address usable in the background; bind tells when it has.
    ::sockaddr_in6 local{};
    local.sin6_family = AF_INET6;
    local.sin6_addr = address;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (good && ::bind(control, reinterpret_cast<::sockaddr*>(&local), sizeof local) != 0) {
        good = std::chrono::steady_clock::now() < limit;
        std::this_thread::yield();
    }
    ::close(control);
    return good;
}

/// Makes `address`, in host order, the one IPv4 address of an interface, in a network of 24 bits.
inline bool set_ipv4_address(const char* interface, std::uint32_t address) {
    const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::ifreq request{};
    std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    ::sockaddr_in value{};
    value.sin_family = AF_INET;
    value.sin_addr.s_addr = htonl(address);
    std::memcpy(&request.ifr_addr, &value, sizeof value);
    bool good = ::ioctl(control, SIOCSIFADDR, &request) == 0;
    value.sin_addr.s_addr = htonl(0xffffff00);
    std::memcpy(&request.ifr_netmask, &value, sizeof value);
    good = good && ::ioctl(control, SIOCSIFNETMASK, &request) == 0;
    request.ifr_flags = IFF_UP;
    good = good && ::ioctl(control, SIOCSIFFLAGS, &request) == 0;
    ::close(control);
    return good;
}

/// Adds an Ethernet, interface "silent", to the calling thread's network, this host being
/// 10.9.9.1/24, on which nobody answers; returns its descriptor, negative when there can be none.
/// It lasts until that is closed. What is sent there waits for an address resolution that never
/// comes.
inline int add_silent_ethernet() {
    const int tap = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    ::ifreq request{};
    std::memcpy(request.ifr_name, "silent", 7);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (::ioctl(tap, TUNSETIFF, &request) == 0 && set_ipv4_address("silent", 0x0a090901)) {
        return tap;
    }
    ::close(tap);
    return -1;
}

/// Runs `f` in a thread with a network of its own, whose loopback has the given MTU. Skips where
/// this process may not have one. `f` must not use assertions of the test framework, which are for
/// the main thread only.
template <class Function>
void in_private_network(int mtu, Function f) {
    int refused = 0;
    bool up = false;
    std::thread([&] {
        refused = ::unshare(CLONE_NEWNET) == 0 ? 0 : errno;
        up = refused == 0 && set_up_loopback(mtu);
        if (up) {
            f();
        }
    }).join();
    if (refused != 0) {
        skip(std::string("no network of its own here: ") + std::strerror(refused));
    }
    REQUIRE(up);
}

/// Skips where add_silent_ethernet() has returned `ethernet`, and that is no descriptor.
inline void need_ethernet(int ethernet) {
    if (ethernet < 0) {
        skip("no Ethernet of its own here: /dev/net/tun is missing or refused");
    }
}

} // namespace tftp::test
