#pragma once

#include "base/iovec.hpp"

#include <tftp/base/error.hpp>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

// Names that older C libraries lack; the values are the kernel's ABI. Whether the running kernel
// knows them shows when they are used.
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace tftp::detail {

/// Sets a socket option that is an int.
[[nodiscard]] inline error_code set_option(int fd, int level, int name, int value) noexcept {
    if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
        return last_error();
    }
    return {};
}

/// Returns a socket option that is an int.
[[nodiscard]] inline result<int> get_option(int fd, int level, int name) noexcept {
    int value = 0;
    ::socklen_t size = sizeof value;
    if (::getsockopt(fd, level, name, &value, &size) != 0) {
        return last_error();
    }
    return value;
}

} // namespace tftp::detail
