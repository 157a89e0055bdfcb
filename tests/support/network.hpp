#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tftp::test {

class child_process;

/// A numeric IPv4 or IPv6 address without brackets, and a UDP port.
struct endpoint {
    std::string host;
    std::uint16_t port = 0;

    /// Whether `host` is an IPv6 address.
    [[nodiscard]] bool is_v6() const { return host.find(':') != std::string::npos; }

    /// HOST:PORT, an IPv6 address in brackets.
    [[nodiscard]] std::string text() const;
};

/// Returns a UDP port that was free on `host` a moment ago, for servers that cannot pick one.
///
/// Another program may take it before the server does. Such a server ends at once, and only that
/// is answered by another choice; see started_on_free_port in interop/servers.cpp.
[[nodiscard]] std::uint16_t free_udp_port(const std::string& host);

/// Waits until a TFTP server answers a request for a file that does not exist, at most `limit`.
///
/// A closed port answers with ICMP, on which the request is sent again. False when `server` ended
/// or the time is over.
[[nodiscard]] bool
wait_for_answer(const endpoint& where, child_process& server, std::chrono::milliseconds limit);

/// Moves the calling thread, and all it starts later, into a network namespace of its own that has
/// nothing but a loopback interface: for servers that know no port but 69.
///
/// Without the privilege a user namespace is made first; then this process must have one thread.
/// Throws refused_here when the system allows neither.
void enter_private_network();

/// The same, for tests that start tftpd as root: it becomes another user, whom a network of its own
/// may lack. Throws refused_here.
void enter_daemon_network();

/// Adds two interfaces, each the other end of the same wire, to the network of this process, with
/// ip(8). more: words of `ip link add` for the first. Throws refused_here where the kernel has none
/// of that kind, std::runtime_error with the words of ip(8) when it fails otherwise.
void add_link_pair(
    const std::string& first, const std::string& second, const std::vector<std::string>& more = {}
);

/// Returns whether a socket can have that address, of either family, here.
[[nodiscard]] bool has_address(const std::string& host);

/// Ties the calling thread, and all it starts later, to the CPU it runs on.
///
/// Lockstep over loopback is five to ten times faster with both ends on one CPU: waking the other
/// CPU costs 50-100 us, more than the block itself.
void pin_to_this_cpu();

} // namespace tftp::test
