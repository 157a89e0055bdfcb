#pragma once

#include <tftp/base/endpoint.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace example {

/// One socket, as a line of /proc/net/tcp, tcp6, udp or udp6 tells of it (proc(5)).
struct socket_entry {
    tftp::endpoint local;
    tftp::endpoint peer;
    /// A number of the kernel's tcp_states.h; UDP has two of them.
    unsigned state = 0;
    /// Names the socket in /proc/PID/fd; 0 when no process holds it.
    std::uint64_t inode = 0;
};

inline constexpr unsigned tcp_syn_received = 3;
inline constexpr unsigned tcp_listen = 10;

/// UDP: no peer.
inline constexpr unsigned udp_unconnected = 7;

/// Reads such a table, the system's or a recorded one of a machine of the same octet order.
/// Throws std::runtime_error when it cannot be read or is something else.
[[nodiscard]] std::vector<socket_entry> read_socket_table(const std::string& path);

} // namespace example
