#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

namespace tftp {

/// An endpoint in the form that socket calls take and give.
class socket_address {
public:
    /// Bytes the kernel may write at `data()`.
    static constexpr ::socklen_t capacity = sizeof(::sockaddr_in6);

    /// Room for an address that the kernel fills in.
    socket_address() noexcept : storage_{} {}

    /// Holds `e`; family `none` gives an unspecified address (AF_UNSPEC).
    explicit socket_address(const endpoint& e) noexcept;

    [[nodiscard]] const ::sockaddr* data() const noexcept { return &storage_.any; }

    [[nodiscard]] ::sockaddr* data() noexcept { return &storage_.any; }

    /// Returns the bytes that count for its family.
    [[nodiscard]] ::socklen_t size() const noexcept;

    /// Returns the endpoint; family `none` when it is neither IPv4 nor IPv6.
    [[nodiscard]] endpoint to_endpoint() const noexcept;

private:
    union {
        ::sockaddr_in6 ipv6;
        ::sockaddr_in ipv4;
        ::sockaddr any;
    } storage_;
};

/// Returns the address of `e` without its port: "192.0.2.1", "2001:db8::1", and for a scoped one
/// "fe80::1%eth0", or "fe80::1%2" when the interface has no name. "unspecified" for family `none`.
[[nodiscard]] std::string address_to_string(const endpoint& e);

/// Returns address and port: "192.0.2.1:69", "[2001:db8::1]:69", "[fe80::1%eth0]:69".
[[nodiscard]] std::string to_string(const endpoint& e);

/// Reads a numeric address, with or without a port: ADDR, ADDR:PORT, [V6], [V6]:PORT or a bare V6.
///
/// A link-local IPv6 address may name its interface, as %NAME or %INDEX. `default_port` stands
/// where the text has none. Errors: `invalid_argument` for any other text; `no_such_device` for an
/// interface that does not exist.
[[nodiscard]] result<endpoint>
parse_endpoint(std::string_view text, std::uint16_t default_port) noexcept;

} // namespace tftp
