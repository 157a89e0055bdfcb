#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <net/if.h>

namespace tftp {

namespace {

error_code invalid() noexcept {
    return make_error_code(boost::system::errc::invalid_argument);
}

/// Text for calls that want a terminating zero. The longest: an IPv6 address with an embedded IPv4
/// one, or the name of an interface.
class short_text {
public:
    /// Returns false when `text` does not fit or holds a zero.
    [[nodiscard]] bool assign(std::string_view text) noexcept {
        if (text.size() >= text_.size() || text.find('\0') != std::string_view::npos) {
            return false;
        }
        text_.fill('\0');
        std::copy(text.begin(), text.end(), text_.begin());
        return true;
    }

    [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }

private:
    std::array<char, INET6_ADDRSTRLEN + 1> text_{};
};

/// Reads a whole text as a decimal number: no sign, no space.
template <class Number>
bool parse_decimal(std::string_view text, Number& out) noexcept {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, out);
    return !text.empty() && error == std::errc{} && stop == end;
}

/// Link-local unicast (fe80::/10) and multicast of interface and link scope (ff01::, ff02::): the
/// addresses that mean something only together with an interface.
bool needs_scope(const endpoint& e) noexcept {
    return (e.address[0] == 0xfe && (e.address[1] & 0xc0U) == 0x80) ||
           (e.address[0] == 0xff && ((e.address[1] & 0x0fU) == 1 || (e.address[1] & 0x0fU) == 2));
}

result<std::uint32_t> parse_scope(std::string_view text) noexcept {
    std::uint32_t index = 0;
    if (parse_decimal(text, index)) {
        return index == 0 ? result<std::uint32_t>(invalid()) : result<std::uint32_t>(index);
    }
    short_text name;
    if (text.empty() || !name.assign(text)) {
        return invalid();
    }
    index = ::if_nametoindex(name.c_str());
    if (index == 0) {
        return make_error_code(boost::system::errc::no_such_device);
    }
    return index;
}

result<endpoint> parse_ipv4(std::string_view text, std::uint16_t port) noexcept {
    short_text address;
    ::in_addr binary{};
    if (!address.assign(text) || ::inet_pton(AF_INET, address.c_str(), &binary) != 1) {
        return invalid();
    }
    endpoint e;
    std::memcpy(e.address.data(), &binary, sizeof binary);
    e.port = port;
    e.family = address_family::ipv4;
    return e;
}

result<endpoint> parse_ipv6(std::string_view text, std::uint16_t port) noexcept {
    const std::size_t percent = text.find('%');
    short_text address;
    ::in6_addr binary{};
    if (!address.assign(text.substr(0, percent)) ||
        ::inet_pton(AF_INET6, address.c_str(), &binary) != 1) {
        return invalid();
    }
    endpoint e;
    std::memcpy(e.address.data(), &binary, sizeof binary);
    e.port = port;
    e.family = address_family::ipv6;
    if (percent != std::string_view::npos) {
        // The kernel reports no scope for other addresses, so one kept here would never match.
        if (!needs_scope(e)) {
            return invalid();
        }
        const result<std::uint32_t> scope = parse_scope(text.substr(percent + 1));
        if (!scope) {
            return scope.error();
        }
        e.scope = *scope;
    }
    return e;
}

} // namespace

socket_address::socket_address(const endpoint& e) noexcept : socket_address() {
    switch (e.family) {
    case address_family::none:
        storage_.any.sa_family = AF_UNSPEC;
        break;
    case address_family::ipv4:
        storage_.ipv4 = {};
        storage_.ipv4.sin_family = AF_INET;
        storage_.ipv4.sin_port = htons(e.port);
        std::memcpy(&storage_.ipv4.sin_addr, e.address.data(), sizeof storage_.ipv4.sin_addr);
        break;
    case address_family::ipv6:
        storage_.ipv6.sin6_family = AF_INET6;
        storage_.ipv6.sin6_port = htons(e.port);
        storage_.ipv6.sin6_scope_id = e.scope;
        std::memcpy(&storage_.ipv6.sin6_addr, e.address.data(), sizeof storage_.ipv6.sin6_addr);
        break;
    }
}

::socklen_t socket_address::size() const noexcept {
    switch (storage_.any.sa_family) {
    case AF_INET:
        return sizeof(::sockaddr_in);
    case AF_INET6:
        return sizeof(::sockaddr_in6);
    default:
        return sizeof(::sockaddr);
    }
}

endpoint socket_address::to_endpoint() const noexcept {
    endpoint e;
    if (storage_.any.sa_family == AF_INET) {
        std::memcpy(e.address.data(), &storage_.ipv4.sin_addr, sizeof storage_.ipv4.sin_addr);
        e.port = ntohs(storage_.ipv4.sin_port);
        e.family = address_family::ipv4;
    } else if (storage_.any.sa_family == AF_INET6) {
        std::memcpy(e.address.data(), &storage_.ipv6.sin6_addr, sizeof storage_.ipv6.sin6_addr);
        e.port = ntohs(storage_.ipv6.sin6_port);
        e.scope = storage_.ipv6.sin6_scope_id;
        e.family = address_family::ipv6;
    }
    return e;
}

std::string address_to_string(const endpoint& e) {
    if (e.family == address_family::none) {
        return "unspecified";
    }
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const int family = e.family == address_family::ipv4 ? AF_INET : AF_INET6;
    // Cannot fail: the family is known and the buffer holds the longest address.
    ::inet_ntop(family, e.address.data(), buffer.data(), buffer.size());
    std::string text = buffer.data();
    if (e.scope != 0) {
        std::array<char, IF_NAMESIZE> name{};
        text += '%';
        text += ::if_indextoname(e.scope, name.data()) != nullptr ? std::string(name.data())
                                                                  : std::to_string(e.scope);
    }
    return text;
}

std::string to_string(const endpoint& e) {
    std::string text = address_to_string(e);
    if (e.family == address_family::ipv6) {
        text = '[' + text + ']';
    }
    return text + ':' + std::to_string(e.port);
}

result<endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) noexcept {
    if (text.empty()) {
        return invalid();
    }
    std::uint16_t port = default_port;
    if (text.front() == '[') {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) {
            return invalid();
        }
        const std::string_view rest = text.substr(close + 1);
        if (!rest.empty() && (rest.front() != ':' || !parse_decimal(rest.substr(1), port))) {
            return invalid();
        }
        return parse_ipv6(text.substr(1, close - 1), port);
    }
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        return parse_ipv4(text, port);
    }
    if (text.find(':', colon + 1) != std::string_view::npos) {
        return parse_ipv6(text, port);
    }
    if (!parse_decimal(text.substr(colon + 1), port)) {
        return invalid();
    }
    return parse_ipv4(text.substr(0, colon), port);
}

} // namespace tftp
