#include <tftp/engine/pacer.hpp>

#include <algorithm>

namespace tftp::detail {

void pacer::on_gap(std::uint64_t taken) noexcept {
    const auto place = static_cast<std::uint16_t>(std::min<std::uint64_t>(taken, window_));
    std::copy_backward(recent_.begin(), recent_.end() - 1, recent_.end());
    recent_[0] = place;
    recent_count_ =
        static_cast<std::uint8_t>(std::min<std::size_t>(recent_count_ + 1U, recent_.size()));
    if (recent_count_ < recent_.size()) {
        return;
    }
    const std::uint16_t furthest = *std::max_element(recent_.begin(), recent_.end());
    burst_ = std::clamp(furthest, std::min(burst_min, window_), burst_);
}

void pacer::on_clean_window() noexcept {
    recent_count_ = 0;
    if (burst_ < window_) {
        ++burst_;
    }
}

duration pacer::gap(duration round_trip) const noexcept {
    // A quarter of the round trip, within what one queue of a small device needs to drain and what
    // a receiver still takes for one window.
    using std::chrono::microseconds;
    return std::clamp<duration>(round_trip / 4, microseconds(200), microseconds(5000));
}

} // namespace tftp::detail
