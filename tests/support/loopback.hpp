#pragma once

#include "support/builders.hpp"
#include "support/skip.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <boost/system/system_error.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <poll.h>

namespace tftp::test {

/// 127.0.0.1 or ::1, port 0.
[[nodiscard]] inline endpoint loopback(address_family family) {
    if (family == address_family::ipv4) {
        return endpoint::ipv4(127, 0, 0, 1, 0);
    }
    endpoint e;
    e.family = address_family::ipv6;
    e.address[15] = 1;
    return e;
}

/// Skips where this host has no loopback address of `family`.
inline void need_family(address_family family) {
    if (family == address_family::ipv6) {
        need_ipv6();
    }
}

/// A socket on the loopback interface that a test speaks through, in any one thread: nothing of
/// Catch is used here. Throws what a socket should not do.
class loopback_peer {
public:
    explicit loopback_peer(address_family family = address_family::ipv4)
        : port_(udp_socket::open(loopback(family), {}).value()) {}

    [[nodiscard]] endpoint local() const { return port_->local_endpoint(); }

    void say(const endpoint& to, const datagram& octets) {
        if (const error_code failed = port_->send(to, {}, octets)) {
            throw boost::system::system_error(failed, "loopback_peer");
        }
    }

    /// Waits for a datagram: who sent it, and its octets. Empty after `limit`.
    [[nodiscard]] std::optional<std::pair<endpoint, datagram>>
    hear(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
        ::pollfd wait{port_->native_handle(), POLLIN, 0};
        if (::poll(&wait, 1, static_cast<int>(limit.count())) != 1) {
            return std::nullopt;
        }
        const received& m = port_->receive_batch(memory_, 1).value().front();
        return std::pair(m.from, datagram(m.bytes.begin(), m.bytes.end()));
    }

private:
    std::unique_ptr<udp_socket> port_;
    scratch memory_;
};

} // namespace tftp::test
