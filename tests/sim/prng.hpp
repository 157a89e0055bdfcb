#pragma once

#include <tftp/base/time.hpp>

#include <cstdint>

namespace tftp::sim {

/// The same numbers on every platform and with every standard library: SplitMix64.
class prng {
public:
    explicit prng(std::uint64_t seed) noexcept : state_(seed) {}

    [[nodiscard]] std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15ULL;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }

    /// Returns a number in [0, n); n >= 1.
    [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }

    /// Returns a number in [low, high].
    [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + below(high - low + 1);
    }

    /// Returns a time in [0, most]; draws nothing when `most` is zero.
    [[nodiscard]] duration up_to(duration most) noexcept {
        if (most <= duration::zero()) {
            return duration::zero();
        }
        return duration(
            static_cast<duration::rep>(below(static_cast<std::uint64_t>(most.count()) + 1))
        );
    }

    /// Returns true `ppm` times in a million; draws nothing when `ppm` is zero.
    [[nodiscard]] bool chance(std::uint32_t ppm) noexcept {
        return ppm != 0 && below(1'000'000) < ppm;
    }

private:
    std::uint64_t state_;
};

} // namespace tftp::sim
