#include "sandbox.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <seccomp.h>
#include <type_traits>

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftpd {

namespace {

using names = std::initializer_list<const char*>;

// Of calls with several generations all are listed: which one is made is the libc's choice.

/// Memory and threads of the allocator, the standard library and the threads themselves.
constexpr names process_calls = {
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "futex",
    "rseq",
    "set_robust_list",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "getpid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "exit",
    "exit_group",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
};

/// Clocks where the vDSO does not serve them, timers and waiting.
constexpr names wait_calls = {
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "clock_nanosleep",
    "nanosleep",
    "poll",
    "ppoll",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "pipe2",
    "timerfd_create",
    "timerfd_settime",
};

/// Ports of transfers; socket itself is below.
constexpr names network_calls = {
    "bind",
    "connect",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
};

/// Files that are served, and the log; where they lie is Landlock's matter. How files are opened is
/// below.
constexpr names read_calls = {
    "close",
    "readlinkat",
    "fstat",
    "newfstatat",
    "statx",
    "fstatfs",
    "lseek",
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
};

/// Uploads.
constexpr names write_calls = {
    "open",       "openat",    "openat2",   "faccessat",    "faccessat2", "statfs",    "getdents64",
    "pwrite64",   "pwritev",   "pwritev2",  "fallocate",    "ftruncate",  "fchmod",    "fchown",
    "flistxattr", "fgetxattr", "fsetxattr", "fremovexattr", "flock",      "fsync",     "fdatasync",
    "syncfs",     "link",      "linkat",    "unlinkat",     "renameat",   "renameat2",
};

/// No version of tftpd or of a libc makes these in a service that runs: whoever does is not tftpd.
constexpr names fatal_calls = {
    // other programs, and the memory of other processes
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    // what the file system looks like, and ways around names
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fspick",
    "fsconfig",
    "fsmount",
    "open_by_handle_at",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "acct",
    // namespaces and identity
    "unshare",
    "setns",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capset",
    "personality",
    // code in the kernel
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "reboot",
    // parts of the kernel that intruders have used again and again
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "modify_ldt",
    "iopl",
    "ioperm",
    "vmsplice",
    // clocks and names of the machine
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "syslog",
};

[[noreturn]] void fail(const char* step, int error) {
    throw sandbox_error(
        fmt::format("seccomp: {}: {} (see --no-seccomp)", step, std::strerror(error))
    );
}

class filter {
public:
    explicit filter(std::uint32_t otherwise) : context_(::seccomp_init(otherwise)) {
        if (!context_) {
            fail("init", ENOMEM);
        }
    }

    void set(::scmp_filter_attr attribute, std::uint32_t value) {
        check(::seccomp_attr_set(context_.get(), attribute, value), "attribute");
    }

    void add(std::uint32_t action, names calls) {
        for (const char* const name : calls) {
            add(action, name, {});
        }
    }

    /// The action holds where all conditions do.
    void
    add(std::uint32_t action, const char* name, std::initializer_list<::scmp_arg_cmp> conditions) {
        const int number = ::seccomp_syscall_resolve_name(name);
        // Younger than the library: what is not listed fails anyway.
        if (number == __NR_SCMP_ERROR) {
            return;
        }
        // Calls that this architecture does not have are left out by the library.
        check(
            ::seccomp_rule_add_array(
                context_.get(),
                action,
                number,
                static_cast<unsigned>(conditions.size()),
                conditions.begin()
            ),
            name
        );
    }

    void load() { check(::seccomp_load(context_.get()), "load"); }

private:
    struct release {
        void operator()(void* context) const noexcept { ::seccomp_release(context); }
    };

    static void check(int outcome, const char* step) {
        if (outcome < 0) {
            fail(step, -outcome);
        }
    }

    std::unique_ptr<std::remove_pointer_t<::scmp_filter_ctx>, release> context_;
};

[[nodiscard]] ::scmp_arg_cmp equal(unsigned argument, std::uint64_t value) noexcept {
    return {argument, SCMP_CMP_EQ, value, 0};
}

[[nodiscard]] ::scmp_arg_cmp
masked(unsigned argument, std::uint64_t mask, std::uint64_t value) noexcept {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

/// Calls that are allowed for some arguments only.
void add_conditional(filter& calls) {
    // The flags of clone3 are out of a filter's sight. A libc that is told that the kernel lacks it
    // takes clone, which may make threads, and no processes.
    calls.add(SCMP_ACT_ERRNO(ENOSYS), {"clone3"});
    calls.add(SCMP_ACT_ALLOW, "clone", {masked(0, CLONE_THREAD, CLONE_THREAD)});
    calls.add(SCMP_ACT_ALLOW, "mmap", {masked(2, PROT_EXEC, 0)});
    calls.add(SCMP_ACT_ALLOW, "mprotect", {masked(2, PROT_EXEC, 0)});
    // abort
    calls.add(SCMP_ACT_ALLOW, "tgkill", {equal(0, static_cast<std::uint64_t>(::getpid()))});
    for (const int family : {AF_INET, AF_INET6}) {
        for (const int protocol : {0, static_cast<int>(IPPROTO_UDP)}) {
            constexpr std::uint64_t type_mask = 0xf; // without SOCK_CLOEXEC and SOCK_NONBLOCK
            calls.add(
                SCMP_ACT_ALLOW,
                "socket",
                {equal(0, static_cast<std::uint64_t>(family)),
                 masked(1, type_mask, SOCK_DGRAM),
                 equal(2, static_cast<std::uint64_t>(protocol))}
            );
        }
    }
    // What Asio does to its descriptors, and the name of a link-local client's interface.
    for (const std::uint64_t request : {std::uint64_t{FIONBIO}, std::uint64_t{SIOCGIFNAME}}) {
        calls.add(SCMP_ACT_ALLOW, "ioctl", {equal(1, request)});
    }
    for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL}) {
        calls.add(SCMP_ACT_ALLOW, "fcntl", {equal(1, static_cast<std::uint64_t>(command))});
    }
}

/// Opens of a daemon that only reads: neither open nor openat makes a file or cuts it off.
void add_reading_opens(filter& calls, const call_needs& needs) {
    constexpr std::uint64_t unnamed = O_TMPFILE & ~O_DIRECTORY;
    constexpr std::uint64_t mask = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | unnamed;

    struct opener {
        const char* name;
        unsigned flags_argument;
    };

    for (const auto& [name, flags_argument] : {opener{"open", 1}, opener{"openat", 2}}) {
        calls.add(SCMP_ACT_ALLOW, name, {masked(flags_argument, mask, O_RDONLY)});
        if (needs.appends) {
            // As log_file opens its file again.
            calls.add(
                SCMP_ACT_ALLOW, name, {masked(flags_argument, mask, O_WRONLY | O_APPEND | O_CREAT)}
            );
        }
    }
    // Its flags are out of a filter's sight. Where nothing else forbids to make files, names are
    // resolved by the calls above, as on a kernel that lacks it.
    calls.add(needs.directories_enforced ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS), {"openat2"});
}

/// What ends the process: by SIGSYS, whether the kernel's filters know that action (Linux 4.14, and
/// nobody hides seccomp(2) itself) or not.
[[nodiscard]] std::uint32_t deadly() noexcept {
    constexpr unsigned knows_kill_process = 3;
    return ::seccomp_api_get() >= knows_kill_process ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP;
}

} // namespace

void restrict_calls(const call_needs& needs) {
    filter calls(SCMP_ACT_ERRNO(EPERM));
    // Numbers of another architecture, such as those of 32-bit programs.
    calls.set(SCMP_FLTATR_ACT_BADARCH, deadly());
    calls.add(deadly(), fatal_calls);
    calls.add(SCMP_ACT_ALLOW, process_calls);
    calls.add(SCMP_ACT_ALLOW, wait_calls);
    calls.add(SCMP_ACT_ALLOW, network_calls);
    calls.add(SCMP_ACT_ALLOW, read_calls);
    if (needs.writes) {
        calls.add(SCMP_ACT_ALLOW, write_calls);
        // The time of an opened file; names are beyond Landlock here.
        calls.add(SCMP_ACT_ALLOW, "utimensat", {equal(1, 0)});
    } else {
        add_reading_opens(calls, needs);
    }
    add_conditional(calls);
    calls.load();
}

void hide_refused_clone3() {
    // A size that no kernel takes.
    if (::syscall(SYS_clone3, nullptr, 0) == -1 && errno == EPERM) {
        filter calls(SCMP_ACT_ALLOW);
        calls.add(SCMP_ACT_ERRNO(ENOSYS), {"clone3"});
        calls.load();
    }
}

} // namespace tftpd
