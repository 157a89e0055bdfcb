#include <tftp/base/assert.hpp>
#include <tftp/base/token_bucket.hpp>

#include <algorithm>
#include <chrono>

namespace tftp {

namespace {

/// One token in the units of a bucket.
constexpr std::uint64_t token = 1'000'000'000;

} // namespace

token_bucket::token_bucket(std::uint32_t per_second, time_point now) noexcept
    : per_second_(std::max<std::uint32_t>(per_second, 1)),
      level_(per_second_ * token),
      refilled_(now) {}

void token_bucket::refill(time_point now) noexcept {
    if (now <= refilled_) {
        return;
    }
    const auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(now - refilled_);
    refilled_ = now;
    const std::uint64_t full = per_second_ * token;
    // Longer than a second fills it, and could overflow the product.
    level_ =
        passed >= span
            ? full
            : std::min(full, level_ + static_cast<std::uint64_t>(passed.count()) * per_second_);
}

std::size_t token_bucket::available(time_point now) noexcept {
    refill(now);
    return static_cast<std::size_t>(level_ / token);
}

void token_bucket::take(std::size_t tokens) noexcept {
    TFTP_ASSERT(tokens * token <= level_);
    level_ -= tokens * token;
}

time_point token_bucket::next(time_point now) noexcept {
    refill(now);
    if (level_ >= token) {
        return now;
    }
    return now + std::chrono::nanoseconds((token - level_ + per_second_ - 1) / per_second_);
}

} // namespace tftp
