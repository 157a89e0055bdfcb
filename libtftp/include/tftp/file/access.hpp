#pragma once

#include <tftp/base/error.hpp>

namespace tftp {

/// Asks the kernel whether this process may do something with a file.
///
/// directory, path: as for openat(2). rights: as for access(2). flags: 0, or AT_SYMLINK_NOFOLLOW.
/// The effective user and group decide. Where faccessat2(2) is refused, by a kernel before 5.8 or
/// by the filter of a container, older calls answer.
///
/// Errors, all of the system category: as access(2) says. Thread-safe.
[[nodiscard]] error_code
check_access(int directory, const char* path, int rights, int flags = 0) noexcept;

} // namespace tftp
