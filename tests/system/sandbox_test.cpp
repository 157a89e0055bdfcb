// The code that confines tftpd, applied to a child that then tries one forbidden call after the
// other. What Landlock forbids is tried without it first: only then a refusal says something.

#include "sandbox.hpp"
#include "support/files.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tftp::test;
using tftpd::reach;

namespace {

/// How a child ended that tried something.
struct outcome {
    int error = 0;
    int signal = 0;

    friend bool operator==(const outcome&, const outcome&) = default;
};

std::ostream& operator<<(std::ostream& out, const outcome& o) {
    return out
           << (o.signal != 0 ? "signal " + std::to_string(o.signal)
                             : std::string(::strerror(o.error)));
}

constexpr outcome done{0, 0};
constexpr outcome killed{0, SIGSYS};

constexpr outcome refused(int error) {
    return {error, 0};
}

/// Something a child tries; a negative result is a failure with its reason in errno.
using action = std::function<long()>;

/// Exit status of a child that could not be confined; no errno.
constexpr int unconfined = 255;

/// Tries `what` in a child, after `before`.
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
            ::_exit(unconfined);
        }
        errno = 0;
        ::_exit(what() < 0 ? errno : 0);
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

bool has_landlock(int version = 1) {
    if (landlock_version() < version) {
        WARN("this kernel has no Landlock of version " << version);
        return false;
    }
    return true;
}

/// A directory that is served, one for uploads, one for logs, and one that is out of reach.
struct places {
    places() {
        for (const char* name : {"served", "uploads", "logs", "outside"}) {
            std::filesystem::create_directories(top.path() / name / "below");
            write_file(top.path() / name / "file", "content");
        }
    }

    [[nodiscard]] std::string at(const std::string& name) const {
        return (top.path() / name).string();
    }

    temp_dir top;
};

struct mechanisms {
    bool landlock = true;
    bool seccomp = true;
};

/// Tries `what` under the confinement of a daemon that takes uploads and logs to a file.
outcome confined_to(const places& where, const action& what, mechanisms use = {}) {
    return tried(
        [&] {
            tftpd::confinement wanted;
            const auto allow = [&](const char* name, reach allowed) {
                const int fd = ::open(where.at(name).c_str(), O_PATH | O_DIRECTORY);
                wanted.directories.push_back({fd, allowed});
            };
            allow("served", reach::read);
            allow("uploads", reach::write);
            allow("logs", reach::append);
            wanted.landlock = use.landlock;
            wanted.seccomp = use.seccomp;
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            static_cast<void>(tftpd::confine(wanted));
        },
        what
    );
}

/// Tries `what` under the filter of a daemon that only reads.
outcome reading(const action& what) {
    return tried(
        [] {
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            tftpd::restrict_calls(false);
        },
        what
    );
}

constexpr mechanisms only_landlock{true, false};
constexpr mechanisms only_seccomp{false, true};

action opening(const std::string& path, int flags) {
    return [=] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); };
}

action renaming(const std::string& from, const std::string& to) {
    return [=] { return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0); };
}

action linking(const std::string& from, const std::string& to) {
    return [=] { return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0); };
}

action connecting(int family, int type, int protocol = 0) {
    return [=] { return ::socket(family, type, protocol); };
}

::sockaddr_in loopback(std::uint16_t port = 0) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

template <class Address>
const ::sockaddr* generic(const Address& address) {
    return reinterpret_cast<const ::sockaddr*>(&address);
}

/// Writes a file as an upload does, without a name first.
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

TEST_CASE("files outside of the directories are out of reach", "[system][sandbox]") {
    if (!has_landlock()) {
        return;
    }
    const places where;
    const std::string outside = where.at("outside/file");
    const std::string fresh = where.at("outside/fresh");
    for (const mechanisms use : {only_landlock, mechanisms{}}) {
        INFO("seccomp " << use.seccomp);
        const auto out_of_reach = [&](const action& what) {
            CHECK(confined_to(where, what, use) == refused(EACCES));
            CHECK(free_to(what) == done);
            std::filesystem::remove(fresh);
        };
        out_of_reach(opening(outside, O_RDONLY));
        out_of_reach(opening(outside, O_WRONLY));
        out_of_reach(opening(outside, O_WRONLY | O_APPEND));
        out_of_reach(opening(fresh, O_WRONLY | O_CREAT));
        out_of_reach(opening(where.at("outside"), O_RDONLY | O_DIRECTORY));
        out_of_reach(opening(where.at("served/../outside/file"), O_RDONLY));
        out_of_reach(opening("/etc/passwd", O_RDONLY));
        out_of_reach(opening("/proc/self/maps", O_RDONLY));
        out_of_reach(opening("/dev/null", O_WRONLY));
        out_of_reach(opening("/", O_RDONLY | O_DIRECTORY));
        out_of_reach([&] {
            return ::openat(
                ::open(where.at("served").c_str(), O_PATH | O_DIRECTORY),
                "../outside/file",
                O_RDONLY
            );
        });
    }
    CHECK(confined_to(where, [&] {
              return ::unlinkat(AT_FDCWD, outside.c_str(), 0);
          }) == refused(EACCES));
    CHECK(holds(outside, "content"));
}

TEST_CASE("each directory is used for one purpose only", "[system][sandbox]") {
    if (!has_landlock()) {
        return;
    }
    const places where;
    const auto check = [&](const action& what, const outcome& expected) {
        // The filter would hide what Landlock says of some.
        CHECK(confined_to(where, what, only_landlock) == expected);
    };
    const auto unlinking = [&](const std::string& name) {
        return [path = where.at(name)] { return ::unlink(path.c_str()); };
    };

    SECTION("what is served is read") {
        check(opening(where.at("served/file"), O_RDONLY), done);
        check(opening(where.at("served"), O_RDONLY | O_DIRECTORY), done);
        check(opening(where.at("served/file"), O_WRONLY), refused(EACCES));
        check(opening(where.at("served/fresh"), O_WRONLY | O_CREAT), refused(EACCES));
        check(opening(where.at("served"), O_WRONLY | O_TMPFILE), refused(EACCES));
        check(unlinking("served/file"), refused(EACCES));
        check(renaming(where.at("served/file"), where.at("served/fresh")), refused(EACCES));
        check(linking(where.at("served/file"), where.at("served/fresh")), refused(EACCES));
        CHECK(holds(where.at("served/file"), "content"));
    }
    SECTION("uploads are made, replaced and removed") {
        check([&] { return upload_to(where.at("uploads"), "fresh"); }, done);
        CHECK(holds(where.at("uploads/fresh"), "new"));
        check([&] { return upload_to(where.at("uploads/below"), "fresh"); }, done);
        check([&] { return upload_to(where.at("uploads"), "file"); }, done);
        CHECK(holds(where.at("uploads/file"), "new"));
        check(opening(where.at("uploads/named"), O_WRONLY | O_CREAT | O_EXCL), done);
        check(unlinking("uploads/named"), done);
        check(opening(where.at("uploads"), O_RDONLY | O_DIRECTORY), done);
    }
    SECTION("nothing else comes into the directory of uploads") {
        const std::string fresh = where.at("uploads/fresh");
        check([=] { return ::mkdir(fresh.c_str(), 0755); }, refused(EACCES));
        check([&] { return ::rmdir(where.at("uploads/below").c_str()); }, refused(EACCES));
        check([=] { return ::symlink("file", fresh.c_str()); }, refused(EACCES));
        check([=] { return ::mkfifo(fresh.c_str(), 0644); }, refused(EACCES));
        check(
            [=] {
                ::sockaddr_un address{};
                address.sun_family = AF_UNIX;
                ::strncpy(address.sun_path, fresh.c_str(), sizeof address.sun_path - 1);
                return ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), sizeof address);
            },
            refused(EACCES)
        );
        std::filesystem::copy_file("/bin/true", fresh);
        check([=] { return ::execl(fresh.c_str(), "true", nullptr); }, refused(EACCES));
        CHECK(free_to([=] { return ::execl(fresh.c_str(), "true", nullptr); }) == done);
    }
    SECTION("nothing is carried in, out, or from one directory to another") {
        for (const auto& [from, to] : std::initializer_list<std::array<const char*, 2>>{
                 {"uploads/file", "outside/fresh"},
                 {"outside/file", "uploads/fresh"},
                 {"served/file", "uploads/fresh"},
                 {"uploads/file", "served/fresh"},
                 {"uploads/file", "uploads/below/fresh"}}) {
            INFO(from << " to " << to);
            for (const action& each :
                 {linking(where.at(from), where.at(to)), renaming(where.at(from), where.at(to))}) {
                // The latter where the right to make or remove is missing too.
                const outcome carried = confined_to(where, each);
                CHECK((carried == refused(EXDEV) || carried == refused(EACCES)));
            }
            CHECK(!std::filesystem::exists(where.at(to)));
        }
    }
    SECTION("logs are appended to and made") {
        check(opening(where.at("logs/file"), O_WRONLY | O_APPEND), done);
        check(opening(where.at("logs/fresh"), O_WRONLY | O_APPEND | O_CREAT), done);
        check(opening(where.at("logs/file"), O_RDONLY), refused(EACCES));
        check(opening(where.at("logs"), O_RDONLY | O_DIRECTORY), refused(EACCES));
        check(unlinking("logs/file"), refused(EACCES));
        check(renaming(where.at("logs/file"), where.at("logs/other")), refused(EACCES));
        if (has_landlock(3)) {
            check(opening(where.at("logs/file"), O_WRONLY | O_TRUNC), refused(EACCES));
        }
        CHECK(holds(where.at("logs/file"), "content"));
    }
}

TEST_CASE("TCP is out of reach", "[system][sandbox]") {
    if (!has_landlock(4)) {
        return;
    }
    const places where;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in address = loopback();
    ::socklen_t size = sizeof address;
    REQUIRE(::bind(server, generic(address), size) == 0);
    REQUIRE(::listen(server, 5) == 0);
    REQUIRE(::getsockname(server, reinterpret_cast<::sockaddr*>(&address), &size) == 0);
    const action connect = [&] {
        return ::connect(::socket(AF_INET, SOCK_STREAM, 0), generic(address), sizeof address);
    };
    const action bind = [] {
        const ::sockaddr_in any = loopback();
        return ::bind(::socket(AF_INET, SOCK_STREAM, 0), generic(any), sizeof any);
    };
    for (const action& each : {connect, bind}) {
        CHECK(free_to(each) == done);
        CHECK(confined_to(where, each, only_landlock) == refused(EACCES));
    }
    ::close(server);
}

TEST_CASE("other processes are out of reach", "[system][sandbox]") {
    if (!has_landlock(6)) {
        return;
    }
    const places where;
    const ::pid_t parent = ::getpid();
    const action kill = [=] { return ::kill(parent, 0); };
    CHECK(free_to(kill) == done);
    CHECK(confined_to(where, kill, only_landlock) == refused(EPERM));

    const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX; // and no name: the kernel picks an abstract one
    REQUIRE(::bind(server, generic(address), sizeof address.sun_family) == 0);
    REQUIRE(::listen(server, 5) == 0);
    ::socklen_t size = sizeof address;
    REQUIRE(::getsockname(server, reinterpret_cast<::sockaddr*>(&address), &size) == 0);
    const action connect = [&] {
        return ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), size);
    };
    CHECK(free_to(connect) == done);
    CHECK(confined_to(where, connect, only_landlock) == refused(EPERM));
    ::close(server);
}

TEST_CASE("what tftpd does works in its confinement", "[system][sandbox]") {
    const places where;
    const auto works = [&](const action& what) { CHECK(confined_to(where, what) == done); };
    SECTION("files") {
        works(opening(where.at("served/file"), O_RDONLY));
        works(opening(where.at("logs/fresh"), O_WRONLY | O_APPEND | O_CREAT));
        works([&] { return upload_to(where.at("uploads"), "fresh"); });
        CHECK(holds(where.at("uploads/fresh"), "new"));
        works([&] { return upload_to(where.at("uploads/below"), "fresh"); });
    }
    SECTION("datagrams") {
        for (const int family : {AF_INET, AF_INET6}) {
            works(connecting(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
            works(connecting(family, SOCK_DGRAM, 0));
        }
        works([] {
            const int port = ::socket(AF_INET, SOCK_DGRAM, 0);
            ::sockaddr_in address = loopback();
            ::socklen_t size = sizeof address;
            if (::bind(port, generic(address), size) != 0 ||
                ::getsockname(port, reinterpret_cast<::sockaddr*>(&address), &size) != 0 ||
                ::sendto(port, "x", 1, 0, generic(address), size) != 1) {
                return -1;
            }
            char octet = 0;
            return ::recv(port, &octet, 1, 0) == 1 ? 0 : -1;
        });
    }
    SECTION("threads, which are confined as well") {
        works([] {
            // More than fits into the stacks and arenas that are there.
            std::vector<std::thread> threads;
            for (int i = 0; i < 20; ++i) {
                threads.emplace_back([] { std::vector<char>(std::size_t{1} << 22U, 'x'); });
            }
            for (std::thread& each : threads) {
                each.join();
            }
            return 0;
        });
        const auto in_a_thread = [](const action& what) {
            return [=] {
                long result = 0;
                int error = 0;
                std::thread([&] {
                    result = what();
                    error = errno;
                }).join();
                errno = error;
                return result;
            };
        };
        CHECK(confined_to(where, in_a_thread(connecting(AF_UNIX, SOCK_STREAM))) == refused(EPERM));
        if (has_landlock()) {
            const action open = opening(where.at("outside/file"), O_RDONLY);
            CHECK(confined_to(where, in_a_thread(open)) == refused(EACCES));
        }
    }
    SECTION("the end by a failed assertion") {
        const outcome aborted{0, SIGABRT};
        CHECK(confined_to(where, []() -> long { std::abort(); }) == aborted);
    }
}

TEST_CASE("each mechanism can be left out", "[system][sandbox]") {
    const places where;
    CHECK(confined_to(where, opening("/etc/passwd", O_RDONLY), only_seccomp) == done);
    CHECK(confined_to(where, connecting(AF_UNIX, SOCK_STREAM), only_landlock) == done);
    CHECK(confined_to(where, opening("/etc/passwd", O_RDONLY), {false, false}) == done);
}

TEST_CASE("a confinement that fails says so", "[system][sandbox]") {
    // Neither root nor no_new_privs gives the right to confine oneself.
    const outcome told = tried(
        [] {
            if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) {
                throw std::runtime_error("setresuid");
            }
        },
        []() -> long {
            tftpd::confinement wanted;
            wanted.directories.push_back({-1, reach::read});
            try {
                static_cast<void>(tftpd::confine(wanted));
            } catch (const tftpd::sandbox_error& why) {
                return std::string(why.what()).find("(see --no-") == std::string::npos ? -1 : 0;
            }
            return -1;
        }
    );
    CHECK(told == done);
}
