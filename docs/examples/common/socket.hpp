#pragma once

#include <tftp/base/unique_fd.hpp>
#include <tftp/socket/socket_address.hpp>

#include <cerrno>
#include <system_error>

#include <sys/resource.h>
#include <sys/socket.h>

namespace example {

using tftp::socket_address;
using tftp::unique_fd;

/// Returns what a system call returned. Throws std::system_error with `what` when it failed: -1,
/// and the reason in errno.
template <class Result>
Result check(Result returned, const char* what) {
    if (returned == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return returned;
}

/// Returns a socket of that family (AF_INET, AF_INET6) and type (SOCK_DGRAM, SOCK_STREAM).
[[nodiscard]] inline unique_fd open_socket(int family, int type) {
    return unique_fd(check(::socket(family, type | SOCK_CLOEXEC, 0), "socket"));
}

/// Returns the address and port that a socket has on this side.
[[nodiscard]] inline tftp::endpoint local_address(const unique_fd& socket) {
    socket_address out;
    ::socklen_t size = socket_address::capacity;
    check(::getsockname(socket.get(), out.data(), &size), "getsockname");
    return out.to_endpoint();
}

/// Allows as many descriptors as the system lets this process have: each connection takes one, and
/// the usual limit of 1,024 is there for select alone.
inline void raise_descriptor_limit() {
    ::rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
}

} // namespace example
