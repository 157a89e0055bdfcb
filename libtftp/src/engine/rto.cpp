#include <tftp/engine/rto.hpp>

#include <algorithm>

namespace tftp {

namespace {

/// A clock that did not move between two readings still means that time has passed.
constexpr duration round_trip_min = std::chrono::microseconds(1);

/// Far above any bound of the timer: keeps the sums below away from overflow.
constexpr duration round_trip_max = std::chrono::hours(1);

} // namespace

void rto_estimator::sample(duration round_trip) noexcept {
    const duration r = std::clamp(round_trip, round_trip_min, round_trip_max);
    if (!measured_) {
        smoothed_ = r;
        variance_ = r / 2;
        measured_ = true;
        return;
    }
    // RFC 6298 s.2.3: beta 1/4, alpha 1/8, the variance first because it uses the old mean.
    const duration error = smoothed_ > r ? smoothed_ - r : r - smoothed_;
    variance_ = (3 * variance_ + error) / 4;
    smoothed_ = (7 * smoothed_ + r) / 8;
}

void rto_estimator::back_off() noexcept {
    if (interval() < limits_.max) {
        ++shift_;
    }
}

duration rto_estimator::interval() const noexcept {
    duration wait = limits_.initial;
    if (measured_) {
        // Both terms are bounded first, so their sum is in range for limits of any size.
        wait = std::min(smoothed_, limits_.max);
        // The variance of a quiet moment says little about the next: a long path keeps a quarter of
        // its round trip, which its jitter rarely exceeds and a timeout there hardly notices.
        const duration margin = std::max({limits_.variance_min, 4 * variance_, wait / 4});
        wait = margin > limits_.max - wait ? limits_.max : wait + margin;
    }
    for (unsigned i = 0; i < shift_ && wait < limits_.max; ++i) {
        wait = wait > limits_.max / 2 ? limits_.max : wait * 2;
    }
    return std::min(wait, limits_.max);
}

duration rto_estimator::least() const noexcept {
    return measured_ ? std::max(smoothed_ * 3 / 4, smoothed_ - 2 * variance_)
                     : limits_.variance_min;
}

std::optional<duration> rto_estimator::smoothed() const noexcept {
    return measured_ ? std::optional(smoothed_) : std::nullopt;
}

} // namespace tftp
