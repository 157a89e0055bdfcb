// Both programs where the kernel, or the filter of a container, refuses a system call: see
// support/refuse.cpp.

#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/process.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

using words = std::vector<std::string>;

/// What a kernel answers that is older than the call, and a filter that is.
const words refusals = {"ENOSYS", "EPERM"};

words refusing(const std::string& error, const std::string& calls) {
    return {TFTP_REFUSE_PROGRAM, error, calls};
}

/// Calls with an older way in the server, the libc and the libraries, alone and together.
const words optional_in_server = {
    "access,faccessat2",
    "clone3",
    "close_range",
    "epoll_pwait2,epoll_pwait",
    "faccessat2",
    "fallocate",
    "fstatfs,statfs",
    "getrandom",
    "io_uring_setup",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self",
    "landlock_restrict_self",
    "madvise",
    "membarrier",
    "memfd_create",
    "openat2",
    "preadv2",
    "prlimit64",
    "pwritev2",
    "recvmmsg",
    "renameat2",
    "rseq",
    "sched_getaffinity",
    "seccomp",
    "sendmmsg",
    "set_robust_list",
    "statx",
    "timerfd_create",
    // All of them: a kernel that is ten years old.
    "clone3,close_range,epoll_pwait2,faccessat2,fallocate,fstatfs,getrandom,"
    "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self,madvise,membarrier,openat2,"
    "preadv2,pwritev2,recvmmsg,renameat2,rseq,seccomp,sendmmsg,statx,timerfd_create",
};

const words optional_in_client = {
    "clone3,close_range,epoll_pwait2",
    "faccessat2",
    "fallocate",
    "fstatfs",
    "getrandom",
    "madvise",
    "openat2",
    "preadv2",
    "prlimit64",
    "pwritev2",
    "recvmmsg",
    "renameat2",
    "rseq",
    "sendmmsg",
    "set_robust_list",
    "statx",
    "timerfd_create",
    "timerfd_settime",
    "faccessat2,fallocate,fstatfs,getrandom,openat2,preadv2,recvmmsg,renameat2,rseq,sendmmsg,statx,"
    "timerfd_create",
};

/// Without these nothing can be served.
const words needed_by_server = {
    "bind",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "getsockname",
    "pipe2",
    "poll",
    "prctl",
    "recvfrom",
    "recvmmsg,recvmsg",
    "recvmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "socket",
    "timerfd_settime",
};

/// These only with uploads.
const words needed_for_uploads = {
    "fchmod",
    "fsync",
    "ftruncate",
    "linkat",
    "pwritev",
    "renameat,renameat2",
    "unlinkat",
};

class client {
public:
    client(const tftp::endpoint& server, const words& wrapper)
        : server_(tftp::to_string(server)), wrapper_(wrapper) {}

    void get(const words& options, const std::string& remote, const std::string& content) const {
        const std::string local = (dir_.path() / "got").string();
        CHECK(run_client("get", options, {server_, remote, local}).empty());
        CHECK(holds(local, content));
    }

    void put(const words& options, const std::string& remote, const std::string& content) const {
        const std::string local = (dir_.path() / "put").string();
        write_file(local, content);
        CHECK(run_client("put", options, {local, remote}).empty());
    }

private:
    /// Returns what it complained of.
    [[nodiscard]] std::string
    run_client(const std::string& verb, const words& options, const words& names) const {
        command what = command_of(wrapper_);
        what.argv.insert(what.argv.end(), {TFTP_TFTP_PROGRAM, verb, "--quiet"});
        what.argv.insert(what.argv.end(), options.begin(), options.end());
        if (verb == "put") {
            what.argv.push_back(server_);
        }
        what.argv.insert(what.argv.end(), names.begin(), names.end());
        const run_result result = run(what, daemon_limit);
        return result.status == 0 ? std::string() : to_string(what) + ": " + result.errors;
    }

    std::string server_;
    words wrapper_;
    temp_dir dir_;
};

/// Downloads and uploads in each manner that takes calls of its own: by windows and in lockstep,
/// new names and old ones.
void check_transfers(const daemon_process& daemon, const words& client_wrapper = {}) {
    const std::string content = make_content(300'000, 7);
    const std::string other = make_content(70'000, 8);
    write_file(daemon.root() / "file", content);
    const client tftp(daemon.server(), client_wrapper);
    tftp.get({}, "file", content);
    tftp.get({"--blksize", "1400", "--windowsize", "1"}, "file", content);
    tftp.put({}, "new", content);
    CHECK(holds(daemon.root() / "new", content));
    tftp.put({"--sends", "batch", "--blksize", "1000"}, "new", other);
    CHECK(holds(daemon.root() / "new", other));
    tftp.put({"--blksize", "1400", "--windowsize", "1"}, "new", content);
    CHECK(holds(daemon.root() / "new", content));
}

const words uploading = {"--writable", "create", "--overwrite", "replace"};

words with(words options, const words& more) {
    options.insert(options.end(), more.begin(), more.end());
    return options;
}

/// Fails the test unless tftpd ends with status 2 and one line that holds `what`, before it said
/// that it serves.
void check_no_start(const words& wrapper, const words& options, const std::string& what) {
    const temp_dir dir;
    command line = command_of(wrapper);
    line.argv.push_back(tftpd_program());
    line.argv.insert(line.argv.end(), options.begin(), options.end());
    line.argv.insert(line.argv.end(), {"--listen", "127.0.0.1:0", dir.path().string()});
    const run_result result = run(line, daemon_limit);
    CHECK(result.status == 2);
    CHECK(result.output.empty());
    CHECK_THAT(result.errors, StartsWith("tftpd: ") && Contains(what));
    CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
}

} // namespace

TEST_CASE("tftpd serves where a call with an older way is refused", "[system][tftpd][refused]") {
    for (const std::string& error : refusals) {
        for (const std::string& calls : optional_in_server) {
            INFO(error << " for " << calls);
            daemon_process daemon(uploading, {"127.0.0.1:0"}, refusing(error, calls));
            check_transfers(daemon);
            // The second one: uploads that repeat their last ACK are not waited for.
            daemon.process().send_signal(SIGTERM);
            daemon.process().send_signal(SIGINT);
            CHECK(daemon.process().wait(daemon_limit) == 0);
        }
    }
}

TEST_CASE("refused calls do not matter to any option of tftpd", "[system][tftpd][refused]") {
    struct attempt {
        const char* calls;
        words options;
    };

    const std::vector<attempt> attempts = {
        {"clone3", {"--no-seccomp"}},
        {"clone3,seccomp", {"--no-seccomp"}},
        {"clone3", {"--no-seccomp", "--no-landlock"}},
        {"getrandom", {"--port-range", "20000:50000"}},
        {"getrandom,renameat2", {"--overwrite", "keep=2"}},
        {"openat2", {"--no-landlock", "--no-seccomp"}},
        {"recvmmsg,sendmmsg", {"--tid-mode", "single", "--sends", "batch"}},
        {"recvmmsg,sendmmsg", {"--tid-mode", "pooled", "--sends", "batch"}},
        {"recvmmsg,sendmmsg", {"--sends", "single"}},
        {"faccessat2", {"--overwrite", "keep=2", "--quota-total", "100000000"}},
    };
    for (const std::string& error : refusals) {
        for (const auto& [calls, options] : attempts) {
            INFO(error << " for " << calls << " with " << options.front());
            words all = {"--writable", "create"};
            if (!Catch::contains(options.front(), "--overwrite")) {
                all = uploading;
            }
            daemon_process daemon(with(all, options), {"127.0.0.1:0"}, refusing(error, calls));
            check_transfers(daemon);
        }
    }
}

TEST_CASE("tftp works where a call with an older way is refused", "[system][tftp][refused]") {
    daemon_process daemon(uploading);
    for (const std::string& error : refusals) {
        for (const std::string& calls : optional_in_client) {
            INFO(error << " for " << calls);
            check_transfers(daemon, refusing(error, calls));
        }
    }
}

TEST_CASE("tftpd does not start without a call that it needs", "[system][tftpd][refused]") {
    for (const std::string& error : refusals) {
        const std::string reason =
            error == "EPERM" ? "Operation not permitted" : "Function not implemented";
        for (const std::string& calls : needed_by_server) {
            INFO(error << " for " << calls);
            check_no_start(refusing(error, calls), {}, reason);
        }
        for (const std::string& calls : needed_for_uploads) {
            INFO(error << " for " << calls);
            check_no_start(refusing(error, calls), uploading, reason);
            // Reading is another matter.
            daemon_process daemon({}, {"127.0.0.1:0"}, refusing(error, calls));
            write_file(daemon.root() / "file", "content");
            CHECK(fetch(daemon.server(), "file") == "content");
        }
    }
}

TEST_CASE("a user that is in force already takes no calls", "[system][tftpd][refused]") {
    const std::string calls =
        "capset,setgid,setgroups,setregid,setresgid,setresuid,setreuid,setuid";
    std::vector<std::pair<words, words>> starts = {{{}, {}}};
    if (::geteuid() == 0) {
        const words nobody = {"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"};
        starts = {{{}, {"--user", "root"}}, {nobody, {}}, {nobody, {"--user", "nobody"}}};
    }
    for (const std::string& error : refusals) {
        for (const auto& [wrapper, options] : starts) {
            daemon_process daemon(
                with(uploading, options), {"127.0.0.1:0"}, with(wrapper, refusing(error, calls))
            );
            check_transfers(daemon);
        }
    }
}

TEST_CASE("what was left open is closed, by whatever call", "[system][tftpd][refused]") {
    const temp_dir outside;
    write_file(outside.path() / "secret", "content");
    const std::string leak = "exec 7<'" + outside.path().string() + "/secret' 9<'" +
                             outside.path().string() + "' 211<>/dev/null; exec \"$@\"";
    const words leaking = {"bash", "-c", leak, "bash"};
    for (const words& wrapper :
         {leaking,
          with(leaking, refusing("EPERM", "close_range")),
          with(leaking, refusing("ENOSYS", "close_range")),
          // Without /proc, or what reads it, one number after the other.
          with(leaking, refusing("ENOSYS", "close_range,getdents64"))}) {
        daemon_process daemon({}, {"127.0.0.1:0"}, wrapper);
        namespace fs = std::filesystem;
        const fs::path open = "/proc/" + std::to_string(daemon.process().id()) + "/fd";
        for (const fs::directory_entry& each : fs::directory_iterator(open)) {
            const std::string target = fs::read_symlink(each.path()).string();
            INFO(each.path() << " leads to " << target);
            CHECK(!Catch::startsWith(target, outside.path().string()));
            CHECK(each.path().filename() != "211");
        }
        CHECK(daemon.serves());
    }
}

TEST_CASE("tftpd says which call is refused", "[system][tftpd][refused]") {
    check_no_start(
        refusing("EPERM", "recvmsg"),
        {},
        "cannot serve: the kernel, or the filter of a container, refuses the system call recvmsg: "
        "Operation not permitted\n"
    );
}
