#include "server/async/listeners.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tftp::detail {

namespace {

/// Holds about 5,000 requests that arrive at once.
constexpr std::size_t listen_buffer = std::size_t{4} << 20;
/// Holds what waits for a thousand neighbours that do not exist, for as long as the system asks for
/// them: a few packets of each, as the kernel counts them.
constexpr std::size_t answer_buffer = std::size_t{8} << 20;
/// Attempts to find a port that is free in both families, when the system may choose.
constexpr int port_attempts = 16;

[[nodiscard]] endpoint any(address_family family, std::uint16_t port) noexcept {
    endpoint e;
    e.family = family;
    e.port = port;
    return e;
}

using ports = std::vector<std::unique_ptr<udp_socket>>;

/// Binds all addresses, those with port 0 to one common number.
[[nodiscard]] ports bind_all(
    const std::vector<endpoint>& wanted, const socket_options& options, bool skip_missing_family
) {
    ports bound;
    std::uint16_t chosen = 0;
    for (endpoint local : wanted) {
        const bool choose = local.port == 0;
        local.port = choose ? chosen : local.port;
        auto port = udp_socket::open(local, options);
        if (!port) {
            if (skip_missing_family &&
                port.error() == boost::system::errc::address_family_not_supported) {
                continue;
            }
            throw listen_error(port.error(), local);
        }
        if (choose) {
            chosen = (*port)->local_endpoint().port;
        }
        bound.push_back(std::move(*port));
    }
    return bound;
}

} // namespace

socket_options listen_options(tid_mode tids) noexcept {
    socket_options options;
    options.receive_buffer = listen_buffer;
    options.send_buffer = answer_buffer;
    options.local_addresses = true;
    options.waiting_times = true;
    // Windows of uploads come there, too.
    options.coalesce = tids == tid_mode::single;
    return options;
}

std::vector<std::unique_ptr<udp_socket>> bind_listeners(const server::config& setup) {
    const bool all = setup.listen.empty();
    const std::vector<endpoint> wanted =
        all ? std::vector<
                  endpoint>{any(address_family::ipv4, setup.port), any(address_family::ipv6, setup.port)}
            : setup.listen;
    const bool chosen = std::ranges::any_of(wanted, [](const endpoint& e) { return e.port == 0; });
    for (int attempt = 1;; ++attempt) {
        try {
            return bind_all(wanted, listen_options(setup.service.tids), all);
        } catch (const listen_error& failed) {
            const bool taken = failed.code() == boost::system::errc::address_in_use;
            if (!taken || !chosen || attempt == port_attempts) {
                throw;
            }
        }
    }
}

} // namespace tftp::detail
