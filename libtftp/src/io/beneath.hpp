#pragma once

#include <tftp/io/unique_fd.hpp>
#include <tftp/wire/error.hpp>

namespace tftp::io {

/// How `open_beneath` resolves.
struct beneath_options {
    /// Follow relative links that stay beneath; otherwise every link is an error (ELOOP).
    bool follow_links = false;
    /// Only with what the kernel holds in memory; EAGAIN otherwise.
    bool only_cached = false;
    /// Do not try openat2(2).
    bool force_walk = false;
    /// Enter nothing that is mounted on the way (EXDEV); not heeded without openat2(2).
    bool same_mount = false;
};

/// Opens `path`, relative to `directory` and never outside of it, whatever others rename meanwhile.
///
/// flags: as for open(2), without O_CREAT and O_TMPFILE; O_CLOEXEC is added. Errors, all of the
/// system category: EXDEV for a path that leads out, ELOOP for a link that is not followed;
/// others as openat2(2) says.
[[nodiscard]] result<unique_fd>
open_beneath(int directory, const char* path, int flags, const beneath_options& options) noexcept;

} // namespace tftp::io
