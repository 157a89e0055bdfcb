#include <tftp/engine/pacer.hpp>

#include <algorithm>

namespace tftp::detail {

void pacer::on_gap(std::uint64_t taken) noexcept {
    if (burst_ > proven_) {
        // The larger burst was a trial.
        restrain(proven_);
        return;
    }
    const auto place = static_cast<std::uint16_t>(std::min<std::uint64_t>(taken, window_));
    std::copy_backward(recent_.begin(), recent_.end() - 1, recent_.end());
    recent_[0] = place;
    recent_count_ =
        static_cast<std::uint8_t>(std::min<std::size_t>(recent_count_ + 1U, recent_.size()));
    if (recent_count_ == recent_.size()) {
        restrain(*std::max_element(recent_.begin(), recent_.end()));
    }
}

void pacer::restrain(std::uint16_t burst) noexcept {
    if (burst < burst_) {
        // Every trial that failed makes the next one rarer: it costs most of a window.
        grow_after_ =
            std::min<std::uint8_t>(static_cast<std::uint8_t>(grow_after_ * 2), grow_after_max);
        burst_ = std::max(burst, std::min(burst_min, window_));
    }
    proven_ = burst_;
    clean_ = 0;
}

void pacer::on_clean_window() noexcept {
    recent_count_ = 0;
    if (burst_ == window_ || ++clean_ < grow_after_) {
        return;
    }
    clean_ = 0;
    proven_ = burst_;
    burst_ = static_cast<std::uint16_t>(std::min<unsigned>(burst_ + burst_ / 4U + 1U, window_));
}

void pacer::on_burst(
    duration round_trip, std::uint64_t burst_blocks, duration spread, std::uint64_t blocks
) noexcept {
    shortest_ = std::min(shortest_.value_or(round_trip), round_trip);
    // After the last burst left, the receiver was busy for this long. If its queue was empty
    // before, all of it went into that burst; if not, it was busy from the first block on.
    const duration busy = round_trip - *shortest_;
    per_block_ = std::min(
        busy / static_cast<duration::rep>(burst_blocks),
        (spread + busy) / static_cast<duration::rep>(blocks)
    );
}

duration pacer::pause() const noexcept {
    using std::chrono::microseconds;
    using std::chrono::milliseconds;
    if (burst_ == window_) {
        return duration::zero();
    }
    // Before anything is known one burst a round trip is safe; an eighth more than measured keeps
    // the receiver's queue from filling up slowly.
    const duration pause =
        per_block_ ? *per_block_ * burst_ * 9 / 8 : shortest_.value_or(milliseconds(1));
    // A timer is not worth less than 50 us, and a receiver takes what comes within 5 ms for one
    // window.
    return pause < microseconds(50) ? duration::zero() : std::min<duration>(pause, milliseconds(5));
}

} // namespace tftp::detail
