#include <tftp/client/client_request.hpp>
#include <tftp/socket/route_table.hpp>
#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

namespace {

/// Returns true for an outcome that says only that nobody answered.
[[nodiscard]] bool is_silence(const error_code& outcome) noexcept {
    namespace conditions = boost::system::errc;
    return outcome == errc::timed_out || outcome == errc::out_of_time ||
           outcome == conditions::connection_refused || outcome == conditions::host_unreachable ||
           outcome == conditions::network_unreachable;
}

/// What receivers and queues on the way commonly take at once; a larger window loses its tail.
constexpr std::size_t window_bytes_max = 262144;

/// What fits an Ethernet frame with IPv6 and a little encapsulation; RFC 2348 measures with it.
constexpr std::uint16_t blksize_of_unknown_route = 1428;

/// Larger blocks are sent only to who asks for them: many servers and queues do not take them.
constexpr std::uint16_t blksize_unasked_max = 8192;

} // namespace

offer default_offer(std::uint16_t blksize) noexcept {
    // RFC 7440 s.7 measured no gain beyond about 32 blocks; 64 leaves room for long paths.
    offer o;
    o.blksize = blksize;
    o.windowsize = static_cast<std::uint16_t>(
        std::clamp<std::size_t>(window_bytes_max / std::max<std::size_t>(blksize, 1), 1, 64)
    );
    o.tsize = 0;
    return o;
}

std::uint16_t default_blksize(const endpoint& server) noexcept {
    const result<std::uint32_t> mtu = route_mtu(server);
    return mtu ? std::min(blksize_for_mtu(*mtu, server.family), blksize_unasked_max)
               : blksize_of_unknown_route;
}

offer offer_for(const client_request& asked) noexcept {
    return asked.options ? *asked.options : default_offer(default_blksize(asked.server));
}

bool may_fall_back(const client_request& asked, const transfer_summary& ended) noexcept {
    if (!asked.fall_back || ended.asked.empty() || ended.counters.blocks != 0) {
        return false;
    }
    return ended.outcome == peer_errc::option_refused ||
           ended.outcome == peer_errc::illegal_operation || ended.outcome == peer_errc::undefined;
}

transfer_summary after_falling_back(transfer_summary refused, transfer_summary plain) noexcept {
    if (!plain.answered && is_silence(plain.outcome)) {
        plain.outcome = refused.outcome;
        plain.failed = refused.failed;
        plain.peer_text = std::move(refused.peer_text);
        plain.answered = true;
        plain.elapsed += refused.elapsed;
    }
    return plain;
}

address_family family_of(const client_request& asked) noexcept {
    const result<endpoint> local = parse_endpoint(asked.local, 0);
    return local ? local->family : address_family::none;
}

bool worth_another_address(const transfer_summary& ended) noexcept {
    namespace conditions = boost::system::errc;
    const error_code& outcome = ended.outcome;
    return ended.failed == failing_side::network && ended.counters.blocks == 0 &&
           (outcome == conditions::connection_refused ||
            outcome == conditions::network_unreachable || outcome == conditions::host_unreachable ||
            outcome == conditions::address_family_not_supported ||
            outcome == conditions::address_not_available);
}

time_point last_moment(const client_request& asked, time_point now) noexcept {
    if (!asked.timeout || *asked.timeout > time_point::max() - now) {
        return time_point::max();
    }
    return now + *asked.timeout;
}

} // namespace tftp
