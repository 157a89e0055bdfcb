#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tftp {

/// The addresses of a host, best first; empty when there are none, and then `problem` says why.
struct resolution {
    std::vector<endpoint> addresses{};
    /// A short sentence without its full stop.
    std::string problem{};
    /// Of the same meaning: `errc::unknown_host`, `errc::lookup_failed`, or `no_such_device` for an
    /// interface that does not exist.
    error_code error{};
};

/// Looks up `host`, a name or a numeric address, with `port` put into each result.
///
/// A link-local IPv6 address may name its interface: fe80::1%eth0. family: `none` for either. May
/// block for as long as the resolver of the system does.
[[nodiscard]] resolution
resolve(const std::string& host, std::uint16_t port, address_family family = address_family::none);

/// As the other overload, with the port that `service` names: decimal digits, or a name of
/// services(5) such as "tftp".
[[nodiscard]] resolution resolve(
    const std::string& host,
    const std::string& service,
    address_family family = address_family::none
);

/// Returns the address when `host` is a numeric one, or why it cannot be used; empty when it is a
/// name that has to be looked up. Does not wait.
[[nodiscard]] std::optional<resolution>
resolve_numeric(const std::string& host, std::uint16_t port, address_family family);

/// Returns a host as a URL has it with the zone behind a bare `%`: RFC 6874 wants that escaped, as
/// `%25`, and names of interfaces are written both ways. Throws std::bad_alloc.
[[nodiscard]] std::string unescape_zone(std::string_view host);

/// The parts of a URL, as they are to be used.
struct location {
    /// A name or an address without brackets; a zone stands behind a bare `%`.
    std::string host{};
    /// A port in digits, or the name of a service.
    std::string service{};
    std::string filename{};
    transfer_mode mode = transfer_mode::octet;
};

/// Takes `tftp://host[:port]/file[;mode=netascii|octet]` apart.
///
/// Beyond RFC 3617 the port may be the name of a service, and the zone of an IPv6 address is taken
/// as RFC 6874 has it (%25eth0) and as everybody writes it (%eth0). Errors: `errc::bad_uri`. Throws
/// std::bad_alloc.
[[nodiscard]] result<location> parse_url(std::string_view url);

} // namespace tftp
