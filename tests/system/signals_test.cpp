#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/proc.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

/// Waits until the daemon no longer listens: a bind to its address succeeds.
bool wait_until_deaf(const tftp::endpoint& where) {
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    while (std::chrono::steady_clock::now() < limit) {
        try {
            const udp_client taken(where);
            return true;
        } catch (const std::system_error&) {
            std::this_thread::yield();
        }
    }
    return false;
}

/// Waits until the log tells of `wanted` hangups, and returns of how many it does.
std::size_t count_hangups(daemon_process& daemon, std::size_t wanted) {
    constexpr std::string_view line = "SIGHUP: there is no log file to open again\n";
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    for (;;) {
        const std::string log = daemon.process().errors();
        std::size_t count = 0;
        for (auto at = log.find(line); at != log.npos; at = log.find(line, at + 1)) {
            ++count;
        }
        if (count >= wanted || std::chrono::steady_clock::now() > limit) {
            return count;
        }
        std::this_thread::yield();
    }
}

} // namespace

TEST_CASE("an idle tftpd ends at once on SIGTERM and SIGINT", "[system][tftpd][signals]") {
    for (const int number : {SIGTERM, SIGINT}) {
        // A grace that would outlast the test.
        daemon_process daemon({"--grace", "3600", "--threads", "2"});
        REQUIRE(daemon.serves());
        daemon.process().send_signal(number);
        CHECK(daemon.process().wait(daemon_limit) == 0);
    }
}

TEST_CASE("tftpd finishes what runs when it is told to end", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "3600", "--writable", "create"});
    const std::string content = make_content(3000, 2);
    write_file(daemon.root() / "file", content);
    udp_client reader;
    udp_client writer;
    const arrived first = ask(reader, daemon.server(), rrq("file"));
    const arrived ready = ask(writer, daemon.server(), wrq("upload"));
    daemon.process().send_signal(SIGTERM);
    // New requests are not taken: nobody is there any more.
    REQUIRE(wait_until_deaf(daemon.server()));

    CHECK(fetch_rest(reader, first) == content);
    CHECK(!daemon.process().wait(0ms));
    CHECK(store_rest(writer, ready.from, content).octets == ack(6));
    CHECK(daemon.process().wait(daemon_limit) == 0);
    CHECK(holds(daemon.root() / "upload", content));
}

TEST_CASE("tftpd ends what outlasts the grace", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "0"});
    write_file(daemon.root() / "file", "content");
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    daemon.process().send_signal(SIGTERM);
    const arrived last = next_after(client, answer);
    CHECK(last.from == answer.from);
    CHECK(error_code_of(last) == 0);
    CHECK_THAT(text(last.octets), Contains("server is stopping"));
    CHECK(daemon.process().wait(daemon_limit) == 0);
    CHECK_THAT(daemon.process().errors(), Contains("The transfer was stopped on this side"));
}

TEST_CASE("a second signal ends everything at once", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "3600"});
    write_file(daemon.root() / "file", "content");
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    daemon.process().send_signal(SIGTERM);
    REQUIRE(wait_until_deaf(daemon.server()));
    CHECK(!daemon.process().wait(0ms));
    daemon.process().send_signal(SIGTERM);
    const arrived last = next_after(client, answer);
    CHECK(last.from == answer.from);
    CHECK(error_code_of(last) == 0);
    CHECK(daemon.process().wait(daemon_limit) == 0);
}

TEST_CASE("SIGPIPE, SIGXFSZ and SIGHUP", "[system][tftpd][signals]") {
    SECTION("SIGPIPE does nothing") {
        daemon_process daemon;
        daemon.process().send_signal(SIGPIPE);
        CHECK(daemon.serves());
    }
    SECTION("SIGXFSZ does nothing: an upload beyond the system's limit of files is refused") {
        daemon_process daemon(
            {"--writable", "create"}, {"127.0.0.1:0"}, {"prlimit", "--fsize=1000"}
        );
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("file", {{"timeout", "60"}}));
        CHECK(error_code_of(store_rest(client, ready.from, make_content(1001, 1))) == 3);
        CHECK(daemon.serves());
    }
    SECTION("SIGHUP without a log file does nothing, each time, and says so") {
        daemon_process daemon;
        for (std::size_t times = 1; times <= 3; ++times) {
            daemon.process().send_signal(SIGHUP);
            CHECK(count_hangups(daemon, times) == times);
            CHECK(daemon.serves());
        }
    }
}

TEST_CASE(
    "a signal while tftpd tears down does not change its status", "[system][tftpd][signals]"
) {
    // Its last call takes a second: all has ended but the process.
    // LeakSanitizer does not work in a process that is traced.
    const std::vector<std::string> slow_end = {
        "env",
        "ASAN_OPTIONS=detect_leaks=0",
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=exit_group:delay_enter=1000000"};
    std::vector<std::string> possible = slow_end;
    possible.push_back("true");
    if (run(command_of(possible), daemon_limit).status != 0) {
        skip("no strace here");
    }
    for (const int number : {SIGINT, SIGTERM}) {
        daemon_process daemon({"--threads", "2"}, {"127.0.0.1:0"}, slow_end);
        const ::pid_t tftpd = child_of(daemon.process().id());
        REQUIRE(::kill(tftpd, SIGTERM) == 0);
        const auto limit = std::chrono::steady_clock::now() + daemon_limit;
        while (threads_of(tftpd).size() > 1 && std::chrono::steady_clock::now() < limit) {
            std::this_thread::yield();
        }
        ::kill(tftpd, number);
        CHECK(daemon.process().wait(daemon_limit) == 0);
    }
}
