#include "base/iovec.hpp"

#include <tftp/file/access.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftp {

namespace {

/// faccessat(2) asks for the real user and group.
bool real_ids_are_effective() noexcept {
    return ::getuid() == ::geteuid() && ::getgid() == ::getegid();
}

} // namespace

error_code check_access(int directory, const char* path, int rights, int flags) noexcept {
    // The libc knows an older way for ENOSYS alone. EPERM is what filters answer that are older
    // than the call, but also what the kernel says of a file that is immutable.
    if (::faccessat(directory, path, rights, AT_EACCESS | flags) == 0) {
        return {};
    }
    if (errno != EPERM || !real_ids_are_effective()) {
        return last_error();
    }
    struct ::stat about = {};
    if ((flags & AT_SYMLINK_NOFOLLOW) != 0) {
        if (::fstatat(directory, path, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            return last_error();
        }
        if (S_ISLNK(about.st_mode)) {
            // A link has no permissions of its own.
            return {};
        }
    }
    // The libc's function begins with the newer call even without flags.
    return ::syscall(SYS_faccessat, directory, path, rights) == 0 ? error_code() : last_error();
}

} // namespace tftp
