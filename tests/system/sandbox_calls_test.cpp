// The filter of system calls, applied to a child that then makes one call after the other.

#include "sandbox.hpp"
#include "support/files.hpp"
#include "system/probe.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace tftp::test;

namespace {

struct call {
    const char* name;
    long number;
};

#define TFTP_CALL(name)                                                                            \
    call {                                                                                         \
#name, SYS_##name                                                                          \
    }

} // namespace

TEST_CASE("a confined process that makes an intruder's call is killed", "[system][sandbox]") {
    const places where;
    for (const call& each : {
             TFTP_CALL(execve),
             TFTP_CALL(execveat),
             TFTP_CALL(ptrace),
             TFTP_CALL(process_vm_readv),
             TFTP_CALL(process_vm_writev),
             TFTP_CALL(pidfd_getfd),
             TFTP_CALL(kcmp),
             TFTP_CALL(mount),
             TFTP_CALL(umount2),
             TFTP_CALL(pivot_root),
             TFTP_CALL(chroot),
             TFTP_CALL(open_tree),
             TFTP_CALL(move_mount),
             TFTP_CALL(mount_setattr),
             TFTP_CALL(fsopen),
             TFTP_CALL(fspick),
             TFTP_CALL(fsconfig),
             TFTP_CALL(fsmount),
             TFTP_CALL(open_by_handle_at),
             TFTP_CALL(swapon),
             TFTP_CALL(swapoff),
             TFTP_CALL(quotactl),
             TFTP_CALL(acct),
             TFTP_CALL(unshare),
             TFTP_CALL(setns),
             TFTP_CALL(setuid),
             TFTP_CALL(setgid),
             TFTP_CALL(setresuid),
             TFTP_CALL(setresgid),
             TFTP_CALL(setgroups),
             TFTP_CALL(capset),
             TFTP_CALL(personality),
             TFTP_CALL(init_module),
             TFTP_CALL(finit_module),
             TFTP_CALL(delete_module),
             TFTP_CALL(kexec_load),
             TFTP_CALL(bpf),
             TFTP_CALL(reboot),
             TFTP_CALL(perf_event_open),
             TFTP_CALL(userfaultfd),
             TFTP_CALL(io_uring_setup),
             TFTP_CALL(io_uring_enter),
             TFTP_CALL(io_uring_register),
             TFTP_CALL(keyctl),
             TFTP_CALL(add_key),
             TFTP_CALL(request_key),
             TFTP_CALL(vmsplice),
             TFTP_CALL(settimeofday),
             TFTP_CALL(clock_settime),
             TFTP_CALL(sethostname),
             TFTP_CALL(syslog),
         }) {
        INFO(each.name);
        // Arguments with which a call that came through would do nothing.
        const action make = [&] { return ::syscall(each.number, -1L, -1L, -1L, -1L, -1L, -1L); };
        CHECK(confined_to(where, make, only_seccomp) == killed);
    }
    CHECK(confined_to(where, [] { return ::execl("/bin/true", "true", nullptr); }) == killed);
    CHECK(free_to([] { return ::execl("/bin/true", "true", nullptr); }) == done);
}

#if defined(__x86_64__)
TEST_CASE("the numbers of another architecture kill a confined process", "[system][sandbox]") {
    const places where;
    constexpr long x32 = 0x40000000;
    CHECK(confined_to(where, [] { return ::syscall(x32 | SYS_getpid); }) == killed);
}
#endif

TEST_CASE("calls that tftpd does not make are refused to it", "[system][sandbox]") {
    const places where;
    const std::string file = where.at("uploads/file");
    const std::string fresh = where.at("uploads/fresh");

    struct attempt {
        const char* name;
        action make;
    };

    const ::pid_t parent = ::getpid();
    const auto process = [](long outcome) {
        if (outcome == 0) {
            ::_exit(0); // the child of the child
        }
        return outcome;
    };
    const std::vector<attempt> attempts = {
        {"a UNIX socket", connecting(AF_UNIX, SOCK_STREAM)},
        {"a UNIX datagram socket", connecting(AF_UNIX, SOCK_DGRAM)},
        {"a TCP socket", connecting(AF_INET, SOCK_STREAM)},
        {"a TCP socket of IPv6", connecting(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC)},
        {"a netlink socket", connecting(AF_NETLINK, SOCK_RAW)},
        {"a socket pair",
         [] {
             std::array<int, 2> ends{};
             return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data());
         }},
        {"a child", [=] { return process(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }},
        {"a signal to another process", [=] { return ::kill(parent, 0); }},
        {"a signal to a thread of another process",
         [=] { return ::syscall(SYS_tgkill, parent, parent, 0); }},
        {"code in new memory",
         [] {
             return ::mmap(
                        nullptr,
                        4096,
                        PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS,
                        -1,
                        0
                    ) == MAP_FAILED
                        ? -1
                        : 0;
         }},
        {"code in old memory",
         [] {
             void* const page =
                 ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             return page == MAP_FAILED ? 0 : ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
         }},
        {"a file in memory", [] { return ::memfd_create("x", 0); }},
        {"permissions by name", [=] { return ::chmod(file.c_str(), 0777); }},
        {"an owner", [=] { return ::chown(file.c_str(), ::getuid(), ::getgid()); }},
        {"times of a file", [=] { return ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0); }},
        {"the size of a file by name", [=] { return ::truncate(file.c_str(), 1); }},
        {"a directory", [=] { return ::mkdir(fresh.c_str(), 0755); }},
        {"a directory that goes", [&] { return ::rmdir(where.at("uploads/below").c_str()); }},
        {"a symbolic link", [=] { return ::symlink("file", fresh.c_str()); }},
        {"a FIFO", [=] { return ::mkfifo(fresh.c_str(), 0644); }},
        {"the working directory", [] { return ::chdir("/"); }},
        {"a mask of permissions", [] { return ::syscall(SYS_umask, 0); }},
        {"resource limits",
         [] {
             const ::rlimit none{};
             return ::setrlimit(RLIMIT_CORE, &none);
         }},
        {"prctl", [] { return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }},
        {"a priority", [] { return ::setpriority(PRIO_PROCESS, 0, 5); }},
        {"watching files", [] { return ::syscall(SYS_inotify_init1, 0); }},
        {"terminal input",
         [] {
             return ::syscall(SYS_ioctl, STDIN_FILENO, 0x5412, "x") == 0 || errno == ENOTTY ? 0
                                                                                            : -1;
         }},
        {"signals on input", [] { return ::fcntl(::eventfd(0, 0), F_SETOWN, ::getpid()); }},
    };
    for (const attempt& each : attempts) {
        INFO(each.name);
        CHECK(confined_to(where, each.make, only_seccomp) == refused(EPERM));
        CHECK(free_to(each.make) == done);
        // For the next round: what the free one has made.
        std::filesystem::remove(fresh);
        std::filesystem::create_directory(where.at("uploads/below"));
    }
    // So the libc takes clone, of which a filter can tell what it makes.
    CHECK(confined_to(where, [=] {
              return process(::syscall(SYS_clone3, nullptr, 0));
          }) == refused(ENOSYS));
}

TEST_CASE("what a file is besides its content is copied to another one", "[system][sandbox]") {
    const places where;
    const std::string file = where.at("uploads/file");
    const std::vector<std::function<long(int)>> calls{
        [](int fd) { return ::fchown(fd, ::getuid(), ::getgid()); },
        [](int fd) { return ::fsetxattr(fd, "user.x", "x", 1, 0); },
        [](int fd) { return ::futimens(fd, nullptr); },
        [](int fd) { return ::flock(fd, LOCK_EX); }};
    for (const auto& call : calls) {
        const action what = [&] { return call(::open(file.c_str(), O_RDONLY)); };
        CHECK(free_to(what) == done);
        CHECK(confined_to(where, what) == done);
        CHECK(reading(what) == refused(EPERM));
    }
}

TEST_CASE("a daemon that only reads cannot change files", "[system][sandbox]") {
    const places where;
    const std::string file = where.at("uploads/file");
    const std::string other = where.at("uploads/other");
    CHECK(reading(opening(file, O_RDONLY)) == done);
    CHECK(reading(linking(file, other)) == refused(EPERM));
    CHECK(reading(renaming(file, other)) == refused(EPERM));
    CHECK(reading([=] { return ::unlinkat(AT_FDCWD, file.c_str(), 0); }) == refused(EPERM));
    CHECK(reading([=] {
              return ::ftruncate(::open(file.c_str(), O_WRONLY), 0);
          }) == refused(EPERM));
    CHECK(reading([=] { return ::fchmod(::open(file.c_str(), O_RDONLY), 0); }) == refused(EPERM));
    CHECK(reading([=] {
              return ::pwrite(::open(file.c_str(), O_WRONLY), "x", 1, 0);
          }) == refused(EPERM));
    CHECK(holds(file, "content"));
}

TEST_CASE("a daemon that only reads opens files for nothing else", "[system][sandbox]") {
    const places where;
    const std::string file = where.at("uploads/file");
    const std::string fresh = where.at("uploads/fresh");
    const std::string directory = where.at("uploads");
    const auto open_by = [](const std::string& path, int flags) {
        return std::vector<action>{
            [=] { return ::syscall(SYS_openat, AT_FDCWD, path.c_str(), flags, 0644); },
#ifdef SYS_open
            [=] { return ::syscall(SYS_open, path.c_str(), flags, 0644); },
#endif
        };
    };
    const auto check = [&](const std::string& path, int flags, const outcome& expected) {
        for (const action& make : open_by(path, flags)) {
            CHECK(reading(make) == expected);
        }
    };
    check(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, done);
    check(directory, O_PATH | O_DIRECTORY | O_CLOEXEC, done);
    for (const int flags :
         {O_WRONLY,
          O_RDWR,
          O_RDONLY | O_TRUNC,
          O_WRONLY | O_TRUNC,
          O_WRONLY | O_APPEND,
          O_RDONLY | O_CREAT,
          O_WRONLY | O_CREAT | O_APPEND,
          O_ACCMODE}) {
        INFO(flags);
        check(file, flags, refused(EPERM));
    }
    check(fresh, O_RDONLY | O_CREAT, refused(EPERM));
    check(directory, O_TMPFILE | O_RDWR, refused(EPERM));
    // The filter does not see its flags, and nothing else forbids anything here.
    const ::open_how truncating{O_RDONLY | O_TRUNC, 0, 0};
    CHECK(reading([&] {
              return ::syscall(SYS_openat2, AT_FDCWD, file.c_str(), &truncating, sizeof truncating);
          }) == refused(ENOSYS));
    CHECK(reading([&] { return ::access(file.c_str(), R_OK); }) == refused(EPERM));
    CHECK(reading([&] {
              return ::syscall(SYS_faccessat2, AT_FDCWD, file.c_str(), R_OK, 0);
          }) == refused(EPERM));
    CHECK(holds(file, "content"));
    CHECK(!std::filesystem::exists(fresh));
}
