#include <tftp/engine/rto.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

namespace {

/// A clock that did not move between two readings still means that time has passed.
constexpr duration round_trip_min = std::chrono::microseconds(1);

/// Far above any bound of the timer: keeps the sums below away from overflow.
constexpr duration round_trip_max = std::chrono::hours(1);

/// Least margin while nothing was seen to be lost, in `rto_limits::variance_min`: silence is a slow
/// peer then. Each loss that is seen halves it.
constexpr int margin_lossless = 5;

/// What the initial interval grows by for each further block of a window: a peer that stores one
/// block after the other answers only when it has stored the last one.
constexpr duration initial_per_block = std::chrono::milliseconds(700);

/// From so many on, losses are taken for a property of the path.
constexpr std::uint8_t losses_of_a_lossy_path = 2;
constexpr std::uint8_t losses_max = 16;

/// From so many in a row on, repeats are taken for needless even on a lossy path.
constexpr std::uint8_t repeats_in_a_row = 3;

/// From so many on, the margin is the least.
constexpr unsigned losses_that_matter = 6;

/// Until so many windows were answered, three more transfers may join on the link and make the
/// round trip four times as long, by as much as a large queue holds.
constexpr unsigned windows_alone = 16;
constexpr duration queue_max = std::chrono::seconds(2);

/// Jitter alone hardly makes an answer come in this part of the usual time.
constexpr int far_below = 8;

constexpr std::uint16_t samples_to_forget_a_loss = 512;
constexpr std::uint16_t samples_max = 1000;

/// Longer answers are not waited for again: in the time after which a transfer is given up there
/// has to be room for a few repeats.
constexpr duration memory_max = std::chrono::seconds(4);

[[nodiscard]] duration bounded(duration round_trip) noexcept {
    return std::clamp(round_trip, round_trip_min, round_trip_max);
}

[[nodiscard]] duration memorable(duration answer) noexcept {
    return std::clamp(answer, round_trip_min, memory_max);
}

/// Returns a + b, or the largest duration.
[[nodiscard]] duration sum(duration a, duration b) noexcept {
    return b > duration::max() - a ? duration::max() : a + b;
}

} // namespace

void rto_estimator::sample_opening(duration round_trip) noexcept {
    smoothed_ = bounded(round_trip);
    variance_ = smoothed_ / 2;
    // As long as the other side's timer it is most likely its timer, after a loss.
    measured_ = smoothed_ < limits_.initial - limits_.initial / 16;
}

void rto_estimator::sample(duration round_trip, std::uint64_t blocks) noexcept {
    duration r = bounded(round_trip);
    shortest_ = samples_ == 0 ? r : std::min(shortest_, r);
    if (samples_ == 0) {
        smoothed_ = r;
        variance_ = r / 2;
        measured_ = true;
        longest_ = lossy() ? duration::zero() : memorable(r);
    } else {
        // One long answer says nothing of the usual ones: it is remembered instead. Two in a row
        // do.
        const duration margin =
            std::max({bounded(limits_.variance_min), 4 * variance_, smoothed_ / 4});
        const duration usual = smoothed_ + 2 * margin;
        if (r <= usual) {
            long_answers_ = 0;
            longest_ = lossy() ? longest_ : std::max(longest_, memorable(r));
        } else if (long_answers_ == 0) {
            remember(r);
            r = usual;
            long_answers_ = 1;
        }
        // RFC 6298 s.2.3: beta 1/4, alpha 1/8, the variance first because it uses the old mean.
        const duration error = smoothed_ > r ? smoothed_ - r : r - smoothed_;
        variance_ = (3 * variance_ + error) / 4;
        smoothed_ = (7 * smoothed_ + r) / 8;
    }
    if (repeated_ != duration::zero()) {
        // No copy was answered since: the repeat was needed.
        repeated_ = duration::zero();
        on_loss();
    }
    repeats_ = 0;
    samples_ = static_cast<std::uint16_t>(std::min<std::uint64_t>(samples_ + blocks, samples_max));
    if (++since_loss_ >= samples_to_forget_a_loss && losses_ > 0) {
        since_loss_ = 0;
        --losses_;
    }
}

/// Takes an answer for one of a slow peer, or, on a path that loses, for the work of the peer's own
/// timer after a loss.
void rto_estimator::remember(duration answer) noexcept {
    if (lossy()) {
        on_loss();
    } else {
        longest_ = std::max(longest_, memorable(answer));
    }
}

void rto_estimator::expect_window(std::uint16_t blocks) noexcept {
    window_ = blocks;
}

void rto_estimator::back_off() noexcept {
    if (interval() < limits_.max) {
        // A short interval has to reach the time of a stall in few steps.
        const bool far = lossy() || interval() >= limits_.initial / 2;
        shift_ = static_cast<std::uint8_t>(shift_ + (far ? 1 : 2));
    }
}

bool rto_estimator::lossy() const noexcept {
    return losses_ >= losses_of_a_lossy_path;
}

void rto_estimator::on_repeated_answer(duration age, duration age_of_last) noexcept {
    const duration late = sum(smoothed_, std::max(limits_.variance_min, 4 * variance_));
    repeated_ = memorable(age);
    repeats_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(repeats_ + 1), repeats_in_a_row);
    if (lossy() && repeats_ == repeats_in_a_row) {
        // Nothing is answered in time any more, and so nothing measured.
        return;
    }
    if (samples_ != 0 &&
        (bounded(age_of_last) < shortest_ * 3 / 4 || (losses_ == 0 && age_of_last > late))) {
        on_copy_answered();
    }
}

void rto_estimator::on_copy_answered() noexcept {
    if (repeated_ != duration::zero()) {
        remember(std::exchange(repeated_, duration::zero()));
    }
}

void rto_estimator::on_loss() noexcept {
    since_loss_ = 0;
    losses_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(losses_ + 1), losses_max);
    if (lossy()) {
        // The memory of one long answer must not make every loss dear.
        longest_ = duration::zero();
    }
}

void rto_estimator::on_answer_within(duration elapsed) noexcept {
    if (measured_ && elapsed < smoothed_ / far_below) {
        smoothed_ = bounded(elapsed);
        variance_ = smoothed_ / 2;
        shortest_ = std::min(shortest_, smoothed_);
    }
}

void rto_estimator::on_gap(duration elapsed, std::uint64_t taken) noexcept {
    if (samples_ == 0) {
        // As if each block had taken its time; where the path is what takes long, this is too much.
        // When none arrived, it is the receiver's timer that has passed. So the least is kept.
        const auto blocks = static_cast<duration::rep>(taken == 0 ? 1 : window_);
        const auto arrived = static_cast<duration::rep>(std::max<std::uint64_t>(taken, 1));
        const duration guess = bounded(elapsed) * blocks / arrived;
        const bool known = guess_ != duration::zero();
        guess_ = std::min(guess, known ? guess_ : initial_per_block * (window_ - 1));
    }
}

duration rto_estimator::margin() const noexcept {
    // A margin of 1 s after the first answer, a hundredth of it after a hundred; sooner where
    // packets are lost, because waiting costs something there.
    const unsigned losses = std::min<unsigned>(losses_, losses_that_matter);
    const duration earned =
        limits_.initial / (std::max<duration::rep>(samples_, 1) << (2 * losses));
    const duration floor = std::max(
        limits_.variance_min, bounded(limits_.variance_min) * margin_lossless / (1U << losses)
    );
    // The variance of a quiet moment says little about the next: a long path keeps a quarter of
    // its round trip, which its jitter rarely exceeds and a timeout there hardly notices.
    duration others = smoothed_ / 4;
    if (losses_ == 0) {
        const bool early = samples_ < std::min<unsigned>(windows_alone * window_, samples_max);
        others = std::min(smoothed_ * (early ? 3 : 1), std::max(queue_max, smoothed_ / 4));
    }
    return std::max({earned, floor, 4 * variance_, others});
}

duration rto_estimator::base_interval() const noexcept {
    duration wait = smoothed_;
    if (samples_ == 0) {
        // Half as much again, because the guess may come from the fast beginning of a window.
        const duration further =
            guess_ != duration::zero() ? guess_ + guess_ / 2 : initial_per_block * (window_ - 1);
        wait =
            std::max(sum(limits_.initial / (losses_ + 1), further), sum(smoothed_, 4 * variance_));
    } else {
        wait = sum(smoothed_, margin());
    }
    // Answers as long as the longest come again, a little longer.
    wait = std::max(wait, longest_ + longest_ / 4);
    // On a path that loses, one repeat was most likely needed; several in a row were not.
    const bool held = repeated_ != duration::zero() && (!lossy() || repeats_ == repeats_in_a_row);
    return !held ? wait
                 : std::max(wait, sum(repeated_, std::max(repeated_ / 4, limits_.variance_min)));
}

duration rto_estimator::interval(duration least) const noexcept {
    duration wait = std::max(base_interval(), least);
    const duration bound = std::max(limits_.max, wait);
    for (unsigned i = 0; i < shift_ && wait < bound; ++i) {
        wait = wait > bound / 2 ? bound : wait * 2;
    }
    return wait;
}

duration rto_estimator::prompt_interval() const noexcept {
    return measured_
               ? sum(smoothed_, std::max({limits_.variance_min, 4 * variance_, smoothed_ / 4}))
               : limits_.initial;
}

duration rto_estimator::first_interval(std::uint64_t blocks) const noexcept {
    const auto further =
        static_cast<duration::rep>(std::clamp<std::uint64_t>(blocks, 1, 65535)) - 1;
    return sum(limits_.initial, initial_per_block * further);
}

duration rto_estimator::overdue() const noexcept {
    return samples_ == 0 ? base_interval() : prompt_interval();
}

duration rto_estimator::least() const noexcept {
    return measured_ ? std::max(smoothed_ * 3 / 4, smoothed_ - 2 * variance_)
                     : limits_.variance_min;
}

std::optional<duration> rto_estimator::shortest() const noexcept {
    return samples_ != 0 ? std::optional(shortest_) : std::nullopt;
}

std::optional<duration> rto_estimator::smoothed() const noexcept {
    return measured_ ? std::optional(smoothed_) : std::nullopt;
}

} // namespace tftp
