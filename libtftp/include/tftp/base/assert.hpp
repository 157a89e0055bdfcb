#pragma once

namespace tftp::detail {

/// Says on standard error which invariant does not hold, and ends the process: a programming error
/// was found. Never reachable by peer input. Any thread.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

} // namespace tftp::detail

/// Checks an invariant of this library in every build type; a failure is a programming error and
/// ends the process at the place that found it.
#define TFTP_ASSERT(condition)                                                                     \
    (static_cast<bool>(condition)                                                                  \
         ? static_cast<void>(0)                                                                    \
         : ::tftp::detail::assertion_failed(#condition, __FILE__, __LINE__))
