#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace tftp {

/// The clock whose time points the library is given. No code of the core reads it: `now` is always
/// a parameter, so a simulation may supply any time it likes.
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;

/// Returns the earlier of two deadlines; empty when there is neither.
[[nodiscard]] inline std::optional<time_point>
earlier(const std::optional<time_point>& a, const std::optional<time_point>& b) noexcept {
    return a && b ? std::min(*a, *b) : (a ? a : b);
}

} // namespace tftp
