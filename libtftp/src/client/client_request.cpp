#include <tftp/client/client_request.hpp>

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

bool may_fall_back(const client_request& asked, const transfer_summary& ended) noexcept {
    if (!asked.fall_back || asked.options.empty() || ended.counters.blocks != 0) {
        return false;
    }
    return ended.outcome == peer_errc::option_refused ||
           ended.outcome == peer_errc::illegal_operation || ended.outcome == peer_errc::undefined;
}

transfer_summary after_falling_back(transfer_summary refused, transfer_summary plain) noexcept {
    if (!plain.answered && is_silence(plain.outcome)) {
        plain.outcome = refused.outcome;
        plain.peer_text = std::move(refused.peer_text);
        plain.answered = true;
        plain.elapsed += refused.elapsed;
    }
    return plain;
}

time_point last_moment(const client_request& asked, time_point now) noexcept {
    if (!asked.time_max || *asked.time_max > time_point::max() - now) {
        return time_point::max();
    }
    return now + *asked.time_max;
}

} // namespace tftp
