#pragma once

namespace tftp::detail {

/// Ends the process: a programming error was found. Never reachable by peer input.
[[noreturn]] inline void assertion_failed() noexcept {
    __builtin_trap();
}

} // namespace tftp::detail

/// Checks an invariant of this library in every build type; a failure is a programming error and
/// ends the process at the place that found it.
#define TFTP_ASSERT(condition)                                                                     \
    (static_cast<bool>(condition) ? static_cast<void>(0) : ::tftp::detail::assertion_failed())
