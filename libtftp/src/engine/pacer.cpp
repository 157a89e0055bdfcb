#include <tftp/engine/pacer.hpp>

#include <algorithm>
#include <utility>

namespace tftp::detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Below this a round trip that took longer than the shortest may be mere scheduling.
constexpr duration noise = milliseconds(2);

/// The first estimate holds the time that the receiver waited for more. A whole window is not
/// believed to need longer than this: a pause that is too long lasts for one.
constexpr duration first_window_max = std::chrono::seconds(2);

/// A block of 1468 bytes at 200 kbit/s. What seems to take longer is most likely loss on a long
/// path.
constexpr duration per_block_max = milliseconds(60);

/// Never zero: times are divided by a pace.
constexpr duration pace_min = microseconds(1);

/// The slowest pace: a quarter of 96 kbit/s. The least patient receiver asks again after a second.
constexpr duration pace_max = milliseconds(500);

/// More than this no queue is believed to hold.
constexpr duration queue_max = std::chrono::seconds(2);

/// Blocks without a gap before the pace grows where the link may be full, and where it is not.
constexpr std::uint32_t calm_before_growth = 96;
constexpr std::uint32_t calm_before_leap = 32;

/// Gaps in a row that are told apart; each slows down by an eighth more.
constexpr std::uint8_t gaps_max = 4;

/// So many gaps in a row of which nothing is known are no loss on the wire.
constexpr std::uint8_t unknown_max = 4;

/// The pace that is tried first is so much slower than what the first gap tells: others that begin
/// at the same time see the same gap.
constexpr int first_pace = 4;

/// A pace is at most so many times as slow as blocks were once seen to come: others may share the
/// link now.
constexpr int share_max = 16;

/// From so many blocks on, the time that they took tells how fast a link is.
constexpr std::uint64_t blocks_that_tell = 4;

/// A window of which nothing has arrived after this time was lost as a whole: some queue had no
/// room for it.
constexpr duration told_late = milliseconds(250);

/// The pace after such a window: a block of 1468 bytes at 400 kbit/s.
constexpr duration pace_unknown = milliseconds(30);

/// As long a round trip is believed of a path whose opening was not measured.
constexpr duration round_trip_unknown_max = milliseconds(50);

/// Doublings of a pause of which nothing is known.
constexpr std::uint8_t blind_max = 6;

/// Growths in a row that are told apart; each is twice as much.
constexpr std::uint8_t growths_max = 3;

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

/// Sets the pace of a slow link: `each` from one block to the next.
void pacer::set_pace(duration each) noexcept {
    each_ = std::clamp(each, pace_min, std::min(pace_max, fastest_ * share_max));
    const duration::rep least = pause_worth_a_timer.count() / each_.count() + 1;
    burst_ = static_cast<std::uint16_t>(std::min<duration::rep>(least, window_));
    proven_ = burst_;
    calm_ = 0;
    growths_ = 0;
}

/// Makes the pace faster by the `part`-th part of it, once more in a row.
void pacer::speed_up(int part) noexcept {
    const std::uint8_t before = growths_;
    set_pace(each_ - each_ / part);
    growths_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(before + 1), growths_max);
}

/// Takes how long so many blocks took, the round trip included.
void pacer::see_speed(duration elapsed, std::uint64_t blocks) noexcept {
    if (blocks >= blocks_that_tell) {
        const duration each = elapsed / static_cast<duration::rep>(blocks);
        fastest_ = std::min(fastest_, std::max(each, pace_min));
    }
}

void pacer::on_link_gap(
    std::uint64_t taken, std::optional<duration> elapsed, duration spread
) noexcept {
    const duration late = elapsed.value_or(duration::zero()) - shortest_.value_or(duration::zero());
    queued_ = std::clamp<duration>(late - spread, duration::zero(), queue_max);
    if (!elapsed) {
        // Nothing is known of the queue.
        queued_ = duration::zero();
        unknown_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(unknown_ + 1), unknown_max);
        if (each_ * window_ < first_window_max || unknown_ == unknown_max) {
            set_pace(each_ + each_ / 8);
        }
        return;
    }
    unknown_ = 0;
    // Timers and threads are late by up to a millisecond, and a full queue holds more than the 16th
    // part of a window.
    const bool unclear = queued_ < std::min(noise / 2, each_ * window_ / 16);
    if (queued_ * 4 < each_ * burst_ || unclear) {
        // Nothing waited on the way, or next to nothing: it was lost on the wire.
        const bool empty = guessed_ || queued_ * 16 < each_ * burst_ || unclear;
        set_pace(each_ - each_ / (!empty ? 16 : far_behind() ? 2 : 4));
        leave_link_if_fast();
        return;
    }
    guessed_ = false;
    // The more of them come without a window between them, the further off the pace is.
    gaps_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(gaps_ + 1), gaps_max);
    if (gaps_ == gaps_max) {
        // The link may have become slower, or more may share it.
        fastest_ = std::min<duration>(fastest_ + fastest_ / 2, pace_max);
    }
    duration each = each_ + each_ * gaps_ / 8;
    if (taken >= 8) {
        each = std::clamp(late / static_cast<duration::rep>(taken), each, each_ * 4);
    }
    set_pace(each);
}

void pacer::on_link_window(
    duration busy, std::uint64_t burst_blocks, duration spread, std::uint64_t blocks
) noexcept {
    const auto count = static_cast<duration::rep>(blocks);
    queued_ = std::min(busy, queue_max);
    unknown_ = 0;
    if (busy > each_ * 4) {
        guessed_ = false;
        // What the link took for a block, and so much more that half of what waits has gone when
        // the next window has.
        const duration each = (spread + busy) / count;
        const duration slower = std::max(each, each_) * 17 / 16 + busy / (2 * count);
        set_pace(std::min(slower, each_ * 2));
        return;
    }
    if (guessed_ && busy * 2 <= each_ * burst_) {
        // The queue was empty, so the last burst tells what the link needs at most.
        const duration most = busy / static_cast<duration::rep>(burst_blocks);
        set_pace(std::max(most * 9 / 8, each_ / 4));
        return;
    }
    guessed_ = false;
    gaps_ = 0;
    calm_ += static_cast<std::uint32_t>(blocks);
    const bool behind = far_behind();
    if (busy * 2 <= each_ && (calm_ >= calm_before_leap || behind)) {
        // Nothing waits: the pace is a little too slow, or others have left the link. Too large a
        // step would fill a small queue within one window.
        const int first_step = std::max(4, window_ / 8);
        speed_up(behind ? 2 : growths_ == 0 ? first_step : 4);
    } else if (behind && busy <= each_ * 5 / 4) {
        set_pace(each_ - each_ / 8);
    } else if (busy <= each_ * 9 / 4 && calm_ >= calm_before_growth) {
        speed_up(64 >> growths_);
    }
    leave_link_if_fast();
}

/// When a window takes no time it is no slow link any more. The receiver may still have a small
/// queue.
void pacer::leave_link_if_fast() noexcept {
    if (each_ * window_ > noise) {
        return;
    }
    each_ = duration::zero();
    queued_ = duration::zero();
    estimate_count_ = 0;
    clean_ = 0;
    const auto* const furthest = std::max_element(recent_.begin(), recent_.begin() + recent_count_);
    const bool known = recent_count_ != 0;
    burst_ = known ? std::clamp<std::uint16_t>(*furthest, 1, window_) : window_;
    proven_ = burst_;
}

void pacer::on_gap(std::uint64_t taken, std::optional<duration> elapsed, duration spread) noexcept {
    if (elapsed && !shortest_) {
        // The block behind the gap was answered after a round trip, at least, and after what waited
        // in the queue.
        shortest_ = std::min<duration>(*elapsed, round_trip_unknown_max);
    }
    if (elapsed) {
        see_speed(*elapsed, taken);
    }
    if (link_is_slow()) {
        on_link_gap(taken, elapsed, spread);
        return;
    }
    const duration busy = elapsed.value_or(duration::zero()) - shortest_.value_or(duration::zero());
    if (busy > noise && taken > 0) {
        const duration each = busy / static_cast<duration::rep>(taken);
        if (burst_ < window_ && burst_ == proven_ && per_block() && each <= *per_block() * 5 / 4) {
            // The blocks came as they were paced: one was lost, and the path may well be faster.
            estimate(*per_block() * 15 / 16);
            return;
        }
        const bool first = estimate_count_ == 0;
        // A receiver like ours waited so long for the next block before it told the gap.
        const auto count = static_cast<duration::rep>(taken);
        const duration waited = std::max<duration>(
            milliseconds(50), milliseconds(1000) / std::max<duration::rep>(count - 1, 1)
        );
        const duration guess = std::max((busy - waited) / count, each / 8);
        estimate(first ? std::min<duration>(guess, first_window_max / window_) : each);
        guessed_ = first;
    }
    const auto place = static_cast<std::uint16_t>(std::min<std::uint64_t>(taken, window_));
    std::copy_backward(recent_.begin(), recent_.end() - 1, recent_.end());
    recent_[0] = place;
    recent_count_ =
        static_cast<std::uint8_t>(std::min<std::size_t>(recent_count_ + 1U, recent_.size()));
    if (taken == 0 && busy > told_late && window_ > 1) {
        // Any block that came would have been answered at once.
        guessed_ = true;
        set_pace(std::min<duration>(first_window_max / window_, pace_unknown));
        queued_ = duration::zero();
        return;
    }
    if (burst_ > proven_) {
        // The larger burst was a trial.
        restrain(proven_);
        return;
    }
    if (burst_ == 1 && !per_block()) {
        // Even single blocks are lost, and nothing tells how long the path needs for one.
        blind_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(blind_ + 1), blind_max);
    }
    if (recent_count_ == recent_.size()) {
        restrain(*std::max_element(recent_.begin(), recent_.end()));
    }
    if (busy > noise && takes_its_time()) {
        set_pace(std::min<duration>(*per_block() * first_pace, 2 * first_window_max / window_));
        queued_ = duration::zero();
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
    if (link_is_slow()) {
        return;
    }
    recent_count_ = 0;
    blind_ = 0;
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
    see_speed(round_trip + spread, blocks);
    // After the last burst left, the receiver was busy for this long. If its queue was empty
    // before, all of it went into that burst; if not, it was busy from the first block on.
    const duration busy = round_trip - *shortest_;
    if (link_is_slow()) {
        on_link_window(busy, burst_blocks, spread, blocks);
        return;
    }
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

duration pacer::pause_after_gap() const noexcept {
    return link_is_slow() ? pause() + queued_ : pause();
}

duration pacer::pause() const noexcept {
    if (link_is_slow()) {
        return burst_ == window_ ? duration::zero() : each_ * burst_;
    }
    if (burst_ == window_) {
        return duration::zero();
    }
    // Before anything is known one burst a round trip is safe; a little more than measured keeps
    // the queue from filling up slowly.
    const auto each = per_block();
    const duration pause =
        each ? *each * burst_ * 17 / 16 : shortest_.value_or(milliseconds(1)) * (1 << blind_);
    // A timer is not worth less than 50 us, and the least patient receiver asks again after a
    // second.
    return pause < microseconds(50) ? duration::zero()
                                    : std::min<duration>(pause, milliseconds(500));
}

} // namespace tftp::detail
