#include <tftp/driver/request.hpp>

namespace tftp::io {

offer default_offer(std::uint16_t blksize) noexcept {
    // RFC 7440 s.7 measured no gain beyond about 32 blocks; 64 leaves room for long paths.
    offer o;
    o.blksize = blksize;
    o.windowsize = 64;
    o.tsize = 0;
    return o;
}

std::size_t receive_buffer_for(const parameters& agreed) noexcept {
    // The kernel charges each datagram its bookkeeping too, and doubles what it is asked for.
    constexpr std::size_t bookkeeping = 1024;
    return std::size_t{agreed.windowsize} * (agreed.blksize + bookkeeping);
}

bool may_fall_back(const request& asked, const transfer_summary& ended) noexcept {
    if (!asked.fall_back || asked.options.empty() || ended.counters.blocks != 0) {
        return false;
    }
    return ended.outcome == peer_errc::option_refused ||
           ended.outcome == peer_errc::illegal_operation || ended.outcome == peer_errc::undefined;
}

} // namespace tftp::io
