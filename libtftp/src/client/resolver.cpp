#include <tftp/client/resolver.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/wire/uri.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>

#include <netdb.h>
#include <sys/socket.h>

namespace tftp {

namespace {

struct release_list {
    void operator()(::addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

[[nodiscard]] const char* name_of(address_family family) noexcept {
    return family == address_family::ipv4 ? "IPv4" : "IPv6";
}

[[nodiscard]] int native(address_family family) noexcept {
    switch (family) {
    case address_family::ipv4:
        return AF_INET;
    case address_family::ipv6:
        return AF_INET6;
    case address_family::none:
        break;
    }
    return AF_UNSPEC;
}

[[nodiscard]] resolution failed(std::string why, error_code error) {
    return {{}, std::move(why), error};
}

/// Returns the port when `service` is one in digits.
[[nodiscard]] std::optional<std::uint16_t> port_of(std::string_view service) noexcept {
    std::uint16_t port = 0;
    const char* const end = service.data() + service.size();
    const auto [stop, error] = std::from_chars(service.data(), end, port);
    return !service.empty() && error == std::errc{} && stop == end ? std::optional(port)
                                                                   : std::nullopt;
}

[[nodiscard]] resolution
explain(int status, int system_error, const std::string& service, address_family family) {
    switch (status) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return failed(
            family == address_family::none
                ? std::string("no such host: check the name")
                : std::string("no such host, or it has no ") + name_of(family) + " address",
            errc::unknown_host
        );
    case EAI_SERVICE:
        return failed("there is no service '" + service + "' over UDP", errc::unknown_host);
    case EAI_AGAIN:
        return failed(
            "the name server does not answer: try again, or give the address", errc::lookup_failed
        );
    case EAI_SYSTEM:
        return failed(
            "cannot look up the name: " + std::generic_category().message(system_error),
            errc::lookup_failed
        );
    default:
        return failed(
            std::string("cannot look up the name: ") + ::gai_strerror(status), errc::lookup_failed
        );
    }
}

[[nodiscard]] resolution
look_up(const std::string& host, const std::string& service, address_family family) {
    ::addrinfo hints{};
    hints.ai_family = native(family);
    hints.ai_socktype = SOCK_DGRAM;
    ::addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
    const int system_error = errno;
    const std::unique_ptr<::addrinfo, release_list> list(found);
    if (status != 0) {
        return explain(status, system_error, service, family);
    }
    resolution out;
    for (const ::addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
        if (a->ai_addrlen > socket_address::capacity) {
            continue;
        }
        socket_address address;
        std::memcpy(address.data(), a->ai_addr, a->ai_addrlen);
        const endpoint e = address.to_endpoint();
        if (e.family != address_family::none &&
            std::find(out.addresses.begin(), out.addresses.end(), e) == out.addresses.end()) {
            out.addresses.push_back(e);
        }
    }
    return out.addresses.empty()
               ? failed("no address of a kind that TFTP runs over", errc::unknown_host)
               : out;
}

/// Takes a port that is a name out of `url`, which parse_uri() would refuse; empty when there is
/// none.
[[nodiscard]] std::string take_service(std::string& url) {
    const std::size_t begin = url.find("//") + 2;
    const std::size_t end = std::min(url.find('/', begin), url.size());
    const std::size_t colon = url.rfind(':', end);
    if (colon == std::string::npos || colon < begin || url.find(']', colon) < end) {
        return {};
    }
    std::string service = url.substr(colon + 1, end - colon - 1);
    if (service.empty() ||
        std::ranges::all_of(service, [](char c) { return c >= '0' && c <= '9'; })) {
        return {};
    }
    url.erase(colon, end - colon);
    return service;
}

} // namespace

std::optional<resolution>
resolve_numeric(const std::string& host, std::uint16_t port, address_family family) {
    const bool has_port = host.find(':') == host.rfind(':') && host.find(':') != std::string::npos;
    if (has_port || host.starts_with('[')) {
        return std::nullopt;
    }
    const result<endpoint> numeric = parse_endpoint(host, port);
    if (numeric) {
        if (family != address_family::none && numeric->family != family) {
            return failed(
                std::string("this is no ") + name_of(family) + " address", errc::unknown_host
            );
        }
        return resolution{{*numeric}, {}, {}};
    }
    if (numeric.error() == boost::system::errc::no_such_device) {
        return failed("there is no such network interface: see 'ip link'", numeric.error());
    }
    return std::nullopt;
}

resolution resolve(const std::string& host, std::uint16_t port, address_family family) {
    return resolve(host, std::to_string(port), family);
}

resolution resolve(const std::string& host, const std::string& service, address_family family) {
    // Numeric addresses first: the errors of a zone are clearer here than from getaddrinfo.
    if (const auto port = port_of(service)) {
        if (auto numeric = resolve_numeric(host, *port, family)) {
            return *std::move(numeric);
        }
    }
    return look_up(host, service, family);
}

std::string unescape_zone(std::string_view host) {
    constexpr std::string_view escaped = "%25";
    std::string plain(host);
    const std::size_t at = plain.find(escaped);
    if (at != std::string::npos && at + escaped.size() < plain.size()) {
        plain.replace(at, escaped.size(), "%");
    }
    return plain;
}

result<location> parse_url(std::string_view url) {
    std::string text(url);
    location out;
    if (text.find("://") != std::string::npos) {
        out.service = take_service(text);
    }
    std::string buffer(text.size(), '\0');
    const result<uri> parsed = parse_uri(text, buffer);
    if (!parsed) {
        return make_error_code(errc::bad_uri);
    }
    out.host = unescape_zone(parsed->host);
    if (out.service.empty()) {
        out.service = std::to_string(parsed->port);
    }
    out.filename = parsed->file;
    out.mode = parsed->mode;
    return out;
}

} // namespace tftp
