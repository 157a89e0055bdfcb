#include <tftp/engine/pacer.hpp>

#include <algorithm>
#include <utility>

namespace tftp::detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Below this a round trip that took longer than the shortest may be mere scheduling.
constexpr duration noise = milliseconds(2);

/// The first estimate holds the time that the receiver waited for more: a quarter of it is
/// believed, and not more than this, a block of 1468 bytes at 470 kbit/s. A pause that is too short
/// is noticed by the next gap, which tells the time exactly; one that is too long lasts for the
/// whole window.
constexpr duration first_estimate_max = milliseconds(25);

/// A block of 1468 bytes at 200 kbit/s. What seems to take longer is most likely loss on a long
/// path, and a window must not be paced for so long that it looks like silence.
constexpr duration per_block_max = milliseconds(60);

/// A burst is not so small that the pause behind it is shorter.
constexpr std::chrono::nanoseconds pause_worth_a_timer = microseconds(250);

} // namespace

void pacer::estimate(duration per_block) noexcept {
    if (std::exchange(guessed_, false)) {
        estimate_count_ = 0;
    }
    std::copy_backward(estimates_.begin(), estimates_.end() - 1, estimates_.end());
    estimates_[0] = std::min(per_block, per_block_max);
    estimate_count_ =
        static_cast<std::uint8_t>(std::min<std::size_t>(estimate_count_ + 1U, estimates_.size()));
}

std::optional<duration> pacer::per_block() const noexcept {
    if (estimate_count_ == 0) {
        return std::nullopt;
    }
    return *std::min_element(estimates_.begin(), estimates_.begin() + estimate_count_);
}

bool pacer::takes_its_time() const noexcept {
    const auto each = per_block();
    return each && *each * window_ > noise;
}

void pacer::on_gap(std::uint64_t taken, std::optional<duration> elapsed) noexcept {
    const duration busy = elapsed.value_or(duration::zero()) - shortest_.value_or(duration::zero());
    if (busy > noise && taken > 0) {
        const duration each = busy / static_cast<duration::rep>(taken);
        if (burst_ < window_ && burst_ == proven_ && per_block() && each <= pace() * 5 / 4) {
            // The blocks came as they were paced: one was lost, and the path may well be faster.
            estimate(*per_block() * 15 / 16);
            return;
        }
        const bool first = estimate_count_ == 0;
        estimate(first ? std::min(each / 4, first_estimate_max) : each);
        guessed_ = first;
    }
    const auto place = static_cast<std::uint16_t>(std::min<std::uint64_t>(taken, window_));
    std::copy_backward(recent_.begin(), recent_.end() - 1, recent_.end());
    recent_[0] = place;
    recent_count_ =
        static_cast<std::uint8_t>(std::min<std::size_t>(recent_count_ + 1U, recent_.size()));
    if (burst_ > proven_) {
        // The larger burst was a trial.
        restrain(proven_);
        return;
    }
    if (recent_count_ == recent_.size()) {
        restrain(*std::max_element(recent_.begin(), recent_.end()));
    }
    if (!takes_its_time()) {
        return;
    }
    if (burst_ == window_) {
        // Half of what passed: the other half is room for what else uses the queue.
        restrain(static_cast<std::uint16_t>(std::max(place / 2, 1)));
    } else {
        restrain(static_cast<std::uint16_t>(std::max(burst_ / 2, 1)));
        ease_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(ease_ + 2), ease_max);
    }
}

void pacer::restrain(std::uint16_t burst) noexcept {
    if (burst < burst_) {
        // Every trial that failed makes the next one rarer: it costs most of a window.
        grow_after_ =
            std::min<std::uint8_t>(static_cast<std::uint8_t>(grow_after_ * 2), grow_after_max);
        const auto each = per_block().value_or(pause_worth_a_timer).count();
        const auto least = pause_worth_a_timer.count() / std::max<duration::rep>(each, 1);
        const duration::rep wanted = std::max<duration::rep>(burst, 1);
        burst_ =
            static_cast<std::uint16_t>(std::max(wanted, std::min<duration::rep>(least, burst_)));
    }
    proven_ = burst_;
    clean_ = 0;
}

void pacer::on_clean_window() noexcept {
    recent_count_ = 0;
    ease_ = std::max<std::uint8_t>(static_cast<std::uint8_t>(ease_ - 1), ease_min);
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
    duration each = std::min(
        busy / static_cast<duration::rep>(burst_blocks),
        (spread + busy) / static_cast<duration::rep>(blocks)
    );
    if (burst_ < window_) {
        // What a shaper lets pass at once after a pause says little of its rate: a faster pace is
        // tried step by step, and the gap that ends it tells.
        const duration known = per_block().value_or(each);
        each = std::max(each, guessed_ ? known / 8 : known * 7 / 8);
    }
    estimate(each);
}

duration pacer::pace() const noexcept {
    return per_block().value_or(duration::zero()) * (16 + ease_) / 16;
}

duration pacer::pause() const noexcept {
    if (burst_ == window_) {
        return duration::zero();
    }
    // Before anything is known one burst a round trip is safe; a little more than measured keeps
    // the queue from filling up slowly.
    const duration pause = per_block() ? pace() * burst_ : shortest_.value_or(milliseconds(1));
    // A timer is not worth less than 50 us, and the least patient receiver asks again after a
    // second.
    return pause < microseconds(50) ? duration::zero()
                                    : std::min<duration>(pause, milliseconds(500));
}

} // namespace tftp::detail
