#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace tftp::test {

/// One datagram and who sent it.
struct arrived {
    tftp::endpoint from;
    std::vector<std::byte> octets;

    friend bool operator==(const arrived&, const arrived&) = default;
};

/// A bound UDP socket that a test drives by hand. ICMP refusals are not reported.
class udp_client {
public:
    /// Longer than any retransmission of a live server; reached only by a test that fails.
    static constexpr auto patience = std::chrono::seconds(20);

    /// Binds to `local`; port 0 takes a free one. Throws std::system_error.
    explicit udp_client(const tftp::endpoint& local = tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    ~udp_client();
    udp_client(const udp_client&) = delete;
    udp_client& operator=(const udp_client&) = delete;

    /// Address and port it is bound to.
    [[nodiscard]] tftp::endpoint local() const;

    /// Sends one datagram, to a broadcast address too. Throws std::system_error.
    void send(const tftp::endpoint& to, bytes_view octets);

    /// Returns the next datagram; empty when none came within `limit`.
    [[nodiscard]] std::optional<arrived> receive(std::chrono::milliseconds limit = patience);

private:
    int fd_;
};

} // namespace tftp::test
