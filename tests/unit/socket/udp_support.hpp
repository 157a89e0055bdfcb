#pragma once

#include "support/skip.hpp"

#include <tftp/socket/socket_address.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <cstddef>
#include <memory>
#include <vector>

#include <poll.h>

namespace tftp::test {

inline const endpoint loopback = endpoint::ipv4(127, 0, 0, 1, 0);
inline const endpoint any_ipv4 = endpoint::ipv4(0, 0, 0, 0, 0);
/// Leaves the source address to the system.
inline const endpoint unset{};

using datagram = std::vector<std::byte>;

inline endpoint ipv6(const char* text) {
    return parse_endpoint(text, 0).value();
}

/// Skips where this host has no loopback address of the family of `local`.
inline void need_family(const endpoint& local) {
    if (local.family == address_family::ipv6) {
        need_ipv6();
    }
}

inline std::unique_ptr<udp_socket> open(const endpoint& local, const socket_options& options = {}) {
    return udp_socket::open(local, options).value();
}

/// Bytes whose value tells their place.
inline datagram pattern(std::size_t size) {
    datagram bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>(i * 31 + i / 251);
    }
    return bytes;
}

/// Waits until something is to be read or reported; false after five seconds of nothing.
inline bool wait(const datagram_socket& port) {
    ::pollfd poll{port.native_handle(), POLLIN, 0};
    return ::poll(&poll, 1, 5000) == 1;
}

struct arrival {
    datagram bytes;
    endpoint from;
    endpoint to;
};

/// Takes datagrams until `count` have come or nothing comes any more.
inline std::vector<arrival>
take(datagram_socket& port, std::size_t count, std::size_t messages_max = 32) {
    scratch memory;
    std::vector<arrival> arrivals;
    while (arrivals.size() < count && wait(port)) {
        for (const received& message : port.receive_batch(memory, messages_max).value()) {
            message.for_each_datagram([&](bytes_view d) {
                arrivals.push_back({{d.begin(), d.end()}, message.from, message.to});
            });
        }
    }
    return arrivals;
}

/// Returns true when `arrivals` are `run` cut into `segment`s.
inline bool
matches(const std::vector<arrival>& arrivals, const datagram& run, std::size_t segment) {
    datagram joined;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
        const std::size_t size = arrivals[i].bytes.size();
        if (i + 1 < arrivals.size() ? size != segment : size > segment) {
            return false;
        }
        joined.insert(joined.end(), arrivals[i].bytes.begin(), arrivals[i].bytes.end());
    }
    return joined == run;
}

} // namespace tftp::test
