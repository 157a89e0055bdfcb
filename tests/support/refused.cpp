#include "support/refused.hpp"

#include "support/files.hpp"

#include <cerrno>
#include <cstring>
#include <functional>

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tftp::test {

namespace {

/// Runs `f` in a child; returns what it returned, an errno or 0.
int errno_in_child(const std::function<int()>& f) {
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::_exit(f());
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

/// Leaves the mounts of everybody else; returns 0 or an errno.
int own_mounts() noexcept {
    // In a chroot "/" is no mount point, and what is mounted would show outside: EINVAL.
    return ::unshare(CLONE_NEWNS) == 0 &&
                   ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0
               ? 0
               : errno;
}

/// error: as own_mounts() returned it.
[[noreturn]] void refuse_mounts(int error) {
    throw refused_here(
        "mounts of its own",
        error == EINVAL ? "/ is no mount point, as in a chroot" : std::string(std::strerror(error))
    );
}

} // namespace

refused_here::refused_here(const std::string& wanted, int error)
    : refused_here(wanted, std::string(std::strerror(error))) {}

refused_here::refused_here(const std::string& wanted, const std::string& why)
    : std::runtime_error("no " + wanted + " here: " + why) {}

void enter_own_mounts() {
    if (const int error = own_mounts()) {
        refuse_mounts(error);
    }
}

void try_own_mounts() {
    const temp_dir place;
    const int error = errno_in_child([&] {
        const int refused = own_mounts();
        if (refused != 0) {
            return refused;
        }
        return ::mount("none", place.path().c_str(), "tmpfs", 0, "size=64k") == 0 ? 0 : errno;
    });
    if (error != 0) {
        refuse_mounts(error);
    }
}

void try_other_user(unsigned user) {
    if (::geteuid() != 0) {
        return;
    }
    const temp_dir owned;
    // Where a user namespace has one user only, EINVAL.
    const int error = errno_in_child([&] {
        return ::chown(owned.path().c_str(), user, user) == 0 &&
                       ::setresgid(user, user, user) == 0 && ::setresuid(user, user, user) == 0
                   ? 0
                   : errno;
    });
    if (error != 0) {
        throw refused_here("user " + std::to_string(user), error);
    }
}

} // namespace tftp::test
