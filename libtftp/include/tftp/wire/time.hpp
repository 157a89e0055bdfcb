#pragma once

#include <chrono>

namespace tftp {

/// The clock whose time points the library is given. No code of the core reads it: `now` is always
/// a parameter, so a simulation may supply any time it likes.
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;

} // namespace tftp
