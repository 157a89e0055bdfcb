#include "resolve.hpp"

#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include <netdb.h>
#include <sys/socket.h>

namespace tftp::cli {

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

[[nodiscard]] resolution failed(std::string why) {
    return {{}, std::move(why)};
}

[[nodiscard]] resolution
look_up(const std::string& host, std::uint16_t port, address_family family) {
    ::addrinfo hints{};
    hints.ai_family = native(family);
    hints.ai_socktype = SOCK_DGRAM;
    ::addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    const int system_error = errno;
    const std::unique_ptr<::addrinfo, release_list> list(found);
    switch (status) {
    case 0:
        break;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return failed(
            family == address_family::none
                ? std::string("no such host: check the name")
                : std::string("no such host, or it has no ") + name_of(family) + " address"
        );
    case EAI_AGAIN:
        return failed("the name server does not answer: try again, or give the address");
    case EAI_SYSTEM:
        return failed("cannot look up the name: " + std::generic_category().message(system_error));
    default:
        return failed(std::string("cannot look up the name: ") + ::gai_strerror(status));
    }
    resolution out;
    for (const ::addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
        if (a->ai_addrlen > socket_address::capacity) {
            continue;
        }
        socket_address address;
        std::memcpy(address.data(), a->ai_addr, a->ai_addrlen);
        const endpoint e = address.to_endpoint().with_port(port);
        if (e.family != address_family::none &&
            std::find(out.addresses.begin(), out.addresses.end(), e) == out.addresses.end()) {
            out.addresses.push_back(e);
        }
    }
    return out.addresses.empty() ? failed("no address of a kind that TFTP runs over") : out;
}

} // namespace

resolution resolve(const std::string& host, std::uint16_t port, address_family family) {
    // Numeric addresses first: the errors of a zone are clearer here than from getaddrinfo.
    const bool has_port = host.find(':') == host.rfind(':') && host.find(':') != std::string::npos;
    if (!has_port && !host.starts_with('[')) {
        const result<endpoint> numeric = parse_endpoint(host, port);
        if (numeric) {
            if (family != address_family::none && numeric->family != family) {
                return failed(std::string("this is no ") + name_of(family) + " address");
            }
            return {{*numeric}, {}};
        }
        if (numeric.error() == boost::system::errc::no_such_device) {
            return failed("there is no such network interface: see 'ip link'");
        }
    }
    return look_up(host, port, family);
}

} // namespace tftp::cli
