#pragma once

#include <tftp/base/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tftp {

/// Spends a rate: so many tokens a second, at most those of one second at once.
class token_bucket {
public:
    /// After this long any bucket is full again.
    static constexpr auto span = std::chrono::seconds(1);

    /// per_second: >= 1. It begins full.
    token_bucket(std::uint32_t per_second, time_point now) noexcept;

    /// Returns whole tokens that are there at `now`.
    [[nodiscard]] std::size_t available(time_point now) noexcept;
    /// Takes tokens that are available.
    void take(std::size_t tokens) noexcept;
    /// Returns when at least one token will be there, seen from `now`.
    [[nodiscard]] time_point next(time_point now) noexcept;

private:
    void refill(time_point now) noexcept;

    std::uint32_t per_second_;
    /// In billionths of a token: `per_second_` of them come in a nanosecond.
    std::uint64_t level_;
    time_point refilled_;
};

} // namespace tftp
