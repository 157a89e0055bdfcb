#pragma once

#include <chrono>
#include <time.h>

namespace tftp {

/// For how long what was read of a file may be used without a look at the file: a program that
/// writes through a shared mapping leaves no time stamp before the kernel writes the pages back.
inline constexpr auto content_age_max = std::chrono::seconds(5);

/// How long ago something was read, to the tick of the kernel's clock: no system call, so that it
/// may be asked for each block.
class freshness {
public:
    /// Of something that is read now.
    [[nodiscard]] static freshness begin() noexcept { return freshness(coarse_now()); }

    freshness() = default;

    /// Returns true when `content_age_max` has passed.
    [[nodiscard]] bool is_over() const noexcept { return coarse_now() - since_ > content_age_max; }

private:
    explicit freshness(std::chrono::nanoseconds since) noexcept : since_(since) {}

    [[nodiscard]] static std::chrono::nanoseconds coarse_now() noexcept {
        ::timespec now{};
        static_cast<void>(::clock_gettime(CLOCK_MONOTONIC_COARSE, &now));
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    }

    std::chrono::nanoseconds since_{};
};

} // namespace tftp
