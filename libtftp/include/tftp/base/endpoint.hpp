#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>

namespace tftp {

/// Which addresses an endpoint holds; `none` is the empty endpoint.
enum class address_family : std::uint8_t { none, ipv4, ipv6 };

struct endpoint;

/// Enough for the text of any endpoint.
inline constexpr std::size_t endpoint_text_max = 64;

/// Writes address and port as text into `into`, and returns its size: "192.0.2.1:69",
/// "[2001:db8::1]:69", and for a scoped one "[fe80::1%2]:69". "unspecified" for family `none`.
/// Allocates nothing. RFC 5952.
std::size_t format(const endpoint& e, std::span<char, endpoint_text_max> into) noexcept;

/// An IP address, a UDP port, and for IPv6 the scope (interface index): what identifies one side
/// of a transfer. Trivially copyable and comparable; knows no system header.
///
/// `address` is in network order; an IPv4 address uses its first four octets, the rest is zero.
/// `port` is in host order.
struct endpoint {
    std::array<std::uint8_t, 16> address{};
    std::uint32_t scope = 0;
    std::uint16_t port = 0;
    address_family family = address_family::none;

    /// Returns the IPv4 endpoint a.b.c.d:port.
    [[nodiscard]] static constexpr endpoint ipv4(
        std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port
    ) noexcept {
        endpoint e;
        e.address[0] = a;
        e.address[1] = b;
        e.address[2] = c;
        e.address[3] = d;
        e.port = port;
        e.family = address_family::ipv4;
        return e;
    }

    /// Returns this endpoint with another port.
    [[nodiscard]] constexpr endpoint with_port(std::uint16_t other) const noexcept {
        endpoint e = *this;
        e.port = other;
        return e;
    }

    /// Returns true when both name the same host: the port is not compared.
    [[nodiscard]] constexpr bool same_host(const endpoint& other) const noexcept {
        return family == other.family && address == other.address && scope == other.scope;
    }

    /// Returns address and port as `format` writes them; `tftp::to_string` has the name of an
    /// interface in place of its number.
    [[nodiscard]] std::string to_string() const {
        std::array<char, endpoint_text_max> text{};
        return {text.data(), format(*this, text)};
    }

    /// By hand, because it is asked for each datagram: two words compare faster than 16 octets.
    friend constexpr bool operator==(const endpoint& a, const endpoint& b) noexcept {
        using words = std::array<std::uint64_t, 2>;
        const auto x = std::bit_cast<words>(a.address);
        const auto y = std::bit_cast<words>(b.address);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a.scope == b.scope && a.port == b.port &&
               a.family == b.family;
    }
};

static_assert(std::is_trivially_copyable_v<endpoint>);

/// Returns all fields of `e` mixed into `seed`.
///
/// With a seed that strangers do not know, nobody can prepare endpoints that meet in one place of
/// a table.
[[nodiscard]] constexpr std::uint64_t mix(const endpoint& e, std::uint64_t seed) noexcept {
    const auto add = [&seed](std::uint64_t v) {
        seed ^= v;
        seed *= 0xff51afd7ed558ccdULL;
        seed ^= seed >> 32;
    };
    for (std::size_t i = 0; i < e.address.size(); i += 8) {
        std::uint64_t word = 0;
        for (std::size_t k = 0; k < 8; ++k) {
            word = (word << 8) | e.address[i + k];
        }
        add(word);
    }
    add((std::uint64_t{e.scope} << 32) | (std::uint64_t{e.port} << 8) |
        static_cast<std::uint64_t>(e.family));
    return seed;
}

} // namespace tftp

/// Mixes all fields; not keyed: for a table that strangers can fill see `tftp::mix`.
template <>
struct std::hash<tftp::endpoint> {
    std::size_t operator()(const tftp::endpoint& e) const noexcept {
        return static_cast<std::size_t>(tftp::mix(e, 0x9e3779b97f4a7c15ULL));
    }
};
