#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <netinet/ip.h>

namespace example {

/// A network of the process's own, with this program on the other end of the wire.
///
/// The process moves into a network namespace whose one interface is a TUN device: all that the
/// kernel sends to 10.0.0.0/8 comes to this object, as IP packets. Sockets opened afterwards are in
/// there; the network of the machine is not touched. Root is not needed where the system lets
/// everybody make user namespaces and open /dev/net/tun. One per process, before its second thread.
class tun_network {
public:
    /// What the kernel has on its end.
    static constexpr tftp::endpoint kernel = tftp::endpoint::ipv4(10, 0, 0, 1, 0);

    /// Throws std::system_error when the system refuses the namespace or the device.
    tun_network();

    /// Returns the next IPv4 packet that the kernel sent. Throws std::runtime_error when none
    /// comes for 5 s.
    [[nodiscard]] std::vector<std::byte> receive();

    /// Has the kernel receive an IPv4 packet; what follows from it has happened on return.
    void send(std::span<const std::byte> packet);

private:
    tftp::unique_fd device_;
};

/// Returns the checksum of RFC 1071 over an even number of bytes, ready to be stored.
[[nodiscard]] std::uint16_t internet_checksum(std::span<const std::byte> octets) noexcept;

/// Returns the header of an IPv4 packet of `size` bytes, the header included; TTL 64.
[[nodiscard]] ::iphdr ipv4_header(
    const tftp::endpoint& from, const tftp::endpoint& to, std::uint8_t protocol, std::size_t size
) noexcept;

/// Returns the checksum of a segment of TCP behind that header. It covers the addresses, the
/// protocol and the size as well (RFC 9293 s.3.1). An even number of bytes.
[[nodiscard]] std::uint16_t
segment_checksum(const ::iphdr& header, std::span<const std::byte> segment) noexcept;

} // namespace example
