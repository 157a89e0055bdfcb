// A thread of the daemon that hangs, whatever it waits for.
#include "support/skip.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>

#include <sys/ptrace.h>
#include <sys/wait.h>

using namespace tftp::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// Stops one thread as a debugger does: no signal to the process reaches it.
class stopped_thread {
public:
    explicit stopped_thread(pid_t thread) : thread_(thread) {
        if (::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0) {
            skip(std::string("may not trace: ") + std::strerror(errno));
        }
        REQUIRE(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) == 0);
        REQUIRE(::waitpid(thread, nullptr, __WALL) == thread);
    }

    stopped_thread(const stopped_thread&) = delete;
    stopped_thread& operator=(const stopped_thread&) = delete;

    ~stopped_thread() = default;

    /// Returns whether it has ended; nobody else is told of that before.
    [[nodiscard]] bool ended() const { return ::waitpid(thread_, nullptr, __WALL | WNOHANG) != 0; }

private:
    pid_t thread_;
};

/// Returns a thread that serves: any but the first.
pid_t worker_of(pid_t process) {
    for (const auto& each : fs::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        const pid_t thread = std::stoi(each.path().filename().string());
        if (thread != process) {
            return thread;
        }
    }
    FAIL("no second thread");
    return 0;
}

} // namespace

TEST_CASE("tftpd ends though a thread hangs", "[system][tftpd][signals]") {
    const bool thrice = GENERATE(false, true);
    daemon_process daemon({"--grace", thrice ? "3600" : "1", "--threads", "1"});
    REQUIRE(daemon.serves());
    const stopped_thread stuck(worker_of(daemon.process().id()));
    const auto told = std::chrono::steady_clock::now();
    daemon.process().send_signal(SIGTERM);
    while (!stuck.ended() && std::chrono::steady_clock::now() - told < daemon_limit) {
        if (thrice) {
            // Signals that come together count as one, so more than three may be needed.
            daemon.process().send_signal(SIGTERM);
        }
        REQUIRE_FALSE(daemon.process().wait(10ms));
    }
    CHECK(daemon.process().wait(daemon_limit) == 1);
    // The grace of a second and what follows it, on a machine that may be busy; else it is an hour.
    CHECK(std::chrono::steady_clock::now() - told < 1s + 5s);
}
