#include "system/probe.hpp"

#include "sandbox.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tftp::test {

namespace {

/// Exit status of a child that failed without an errno, or could not be confined.
constexpr int no_errno = 255;

} // namespace

std::ostream& operator<<(std::ostream& out, const outcome& o) {
    return out
           << (o.signal != 0 ? "signal " + std::to_string(o.signal)
                             : std::string(::strerror(o.error)));
}

outcome tried(const std::function<void()>& before, const action& what) {
    const ::pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // A signal is an outcome here, no failure of the test. Nor is it worth a core dump.
        std::signal(SIGABRT, SIG_DFL);
        const ::rlimit none{};
        ::setrlimit(RLIMIT_CORE, &none);
        try {
            before();
        } catch (const std::exception&) {
            ::_exit(no_errno);
        }
        errno = 0;
        const bool failed = what() < 0;
        const int why = errno != 0 ? errno : no_errno;
        ::_exit(failed ? why : 0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? outcome{0, WTERMSIG(status)} : outcome{WEXITSTATUS(status), 0};
}

outcome free_to(const action& what) {
    return tried([] {}, what);
}

int landlock_version() {
    const long version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : static_cast<int>(version);
}

bool has_landlock(int version) {
    if (landlock_version() < version) {
        skip_part("this kernel has no Landlock of version " + std::to_string(version));
        return false;
    }
    return true;
}

places::places() {
    for (const char* name : {"served", "uploads", "logs", "spool", "outside"}) {
        std::filesystem::create_directories(top.path() / name / "below");
        write_file(top.path() / name / "file", "content");
    }
}

outcome confined_to(const places& where, const action& what, mechanisms use) {
    return tried(
        [&] {
            tftpd::confinement wanted;
            const auto allow = [&](const char* name, tftpd::reach allowed) {
                const int fd = ::open(where.at(name).c_str(), O_PATH | O_DIRECTORY);
                wanted.directories.push_back({fd, allowed});
            };
            allow("served", tftpd::reach::read);
            allow("uploads", tftpd::reach::write);
            allow("logs", tftpd::reach::append);
            allow("spool", use.names ? tftpd::reach::named_spool : tftpd::reach::spool);
            wanted.landlock = use.landlock;
            wanted.seccomp = use.seccomp;
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            static_cast<void>(tftpd::confine(wanted));
        },
        what
    );
}

outcome reading(const action& what) {
    return tried(
        [] {
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            tftpd::restrict_calls({});
        },
        what
    );
}

action opening(const std::string& path, int flags) {
    return [=] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); };
}

action renaming(const std::string& from, const std::string& to) {
    return [=] { return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0); };
}

action linking(const std::string& from, const std::string& to) {
    return [=] { return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0); };
}

action connecting(int family, int type, int protocol) {
    return [=] { return ::socket(family, type, protocol); };
}

::sockaddr_in loopback() {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

long upload_to(const std::string& directory, const char* name) {
    const int parent = ::open(directory.c_str(), O_PATH | O_DIRECTORY);
    const int file = ::openat(parent, ".", O_TMPFILE | O_WRONLY, 0666);
    if (file < 0 || ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 100) != 0 ||
        ::pwrite(file, "new", 3, 0) != 3 || ::ftruncate(file, 3) != 0 ||
        ::fchmod(file, 0644) != 0 || ::fsync(file) != 0) {
        return -1;
    }
    const std::string self = "/proc/self/fd/" + std::to_string(file);
    if (::linkat(AT_FDCWD, self.c_str(), parent, ".tftp-1", AT_SYMLINK_FOLLOW) != 0) {
        return -1;
    }
    return ::renameat2(parent, ".tftp-1", parent, name, 0);
}

} // namespace tftp::test
