#pragma once

#include <tftp/io/unique_fd.hpp>
#include <tftp/wire/endpoint.hpp>
#include <tftp/wire/error.hpp>

#include <cstdint>

namespace tftp::io {

/// Asks the kernel about routes. Keeps one socket a family, opened at the first question, because
/// a new one each time would cost as much as sending a datagram.
///
/// Sends nothing. Not thread-safe.
class route_probe {
public:
    /// Returns the MTU of the route to `to` in octets, IP header included; up to 65536,
    /// which the loopback interface gives.
    ///
    /// Errors: as socket(2) and connect(2) say, for example `network_unreachable`.
    [[nodiscard]] result<std::uint32_t> mtu(const endpoint& to) noexcept;

private:
    unique_fd ipv4_;
    unique_fd ipv6_;
};

/// Returns the MTU of the route to `to`: `route_probe` for one question.
[[nodiscard]] result<std::uint32_t> route_mtu(const endpoint& to) noexcept;

/// Returns the largest blksize whose DATA fits `mtu` octets unfragmented: less the IP header
/// without options, the UDP header, and the four octets of opcode and block number, in the range
/// 8..65464 of RFC 2348.
[[nodiscard]] std::uint16_t blksize_for_mtu(std::uint32_t mtu, address_family family) noexcept;

} // namespace tftp::io
