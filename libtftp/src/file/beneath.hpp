#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/file/symlinks.hpp>

#include <span>

namespace tftp {

/// How `open_beneath` resolves.
struct beneath_options {
    symlinks links = symlinks::no;
    /// Only with what the kernel holds in memory; EAGAIN otherwise.
    bool only_cached = false;
    /// Do not try openat2(2).
    bool force_walk = false;
    /// Enter nothing that is mounted on the way (EXDEV); not heeded without openat2(2).
    bool same_mount = false;
    /// Try again for up to a second while the answer is EAGAIN: another program holds a lease of
    /// the file, or renames directories all the time. Only where waiting is allowed.
    bool patient = false;
    /// Directories outside that links may lead to; borrowed, with `symlinks::follow` only.
    std::span<const unique_fd> targets{};
};

/// Opens `path`, relative to `directory` and never outside of it and the targets, whatever others
/// rename meanwhile.
///
/// flags: as for open(2), without O_CREAT, O_TMPFILE and O_NOFOLLOW; O_CLOEXEC is added. Errors:
/// `errc::bad_name` for a ".." in `path` that leads out; `errc::link_refused`,
/// `errc::absolute_link`, `errc::link_leaves` and `errc::link_loop` for links; EAGAIN for a file
/// that another program holds; others as openat2(2) says.
[[nodiscard]] result<unique_fd>
open_beneath(int directory, const char* path, int flags, const beneath_options& options) noexcept;

} // namespace tftp
