// What confines the daemon that runs: see sandbox_test.cpp for what the confinement forbids.

#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/proc.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace tftp::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::Matches;

namespace {

/// Programs that make the daemon start without root, whoever runs the tests.
std::vector<std::vector<std::string>> starts() {
    std::vector<std::vector<std::string>> all = {{}};
    if (::geteuid() == 0) {
        all.push_back({"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"});
    }
    return all;
}

bool has_landlock() {
    return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

void upload(const tftp::endpoint& server, const std::string& name, const std::string& content) {
    udp_client client;
    // A timer that would repeat an ACK to a test that is slow is not wanted here.
    const option_pairs patient = {{"timeout", "60"}};
    const arrived ready = ask(client, server, wrq(name, patient));
    REQUIRE(ready.octets == oack(patient));
    const auto blocks = static_cast<std::uint16_t>(content.size() / 512 + 1);
    CHECK(store_rest(client, ready.from, content).octets == ack(blocks));
}

} // namespace

TEST_CASE("every thread of tftpd is confined", "[system][tftpd][sandbox]") {
    for (const auto& start : starts()) {
        daemon_process daemon({"--writable", "create", "--threads", "3"}, {"127.0.0.1:0"}, start);
        // Uploads use the threads for blocking work too.
        upload(daemon.server(), "file", "content");
        const auto threads = threads_of(daemon.process().id());
        CHECK(threads.size() >= 5);
        for (proc_status status : threads) {
            CHECK(status["NoNewPrivs"] == "1");
            CHECK(status["Seccomp"] == "2");
            for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
                INFO(set);
                CHECK(status[set] == "0000000000000000");
            }
        }
    }
}

TEST_CASE("tftpd says what confines it, and only then serves", "[system][tftpd][sandbox]") {
    const std::string landlock = has_landlock() ? "landlock [0-9]+" : "no landlock";
    SECTION("all") {
        daemon_process daemon;
        CHECK_THAT(
            daemon.line("confined: "),
            Matches(".* tftpd: confined: user [^ ,]+, " + landlock + ", seccomp")
        );
        const std::string all = daemon.process().errors();
        CHECK(all.find("confined: ") < all.find("serving "));
        CHECK(has_landlock() == (all.find("not confined") == std::string::npos));
    }
    SECTION("without the filter") {
        daemon_process daemon({"--no-seccomp"});
        CHECK_THAT(daemon.line("confined: "), Matches(".*, " + landlock + ", no seccomp"));
        // In a container there is a filter that everybody has.
        const std::string everybodys = threads_of(::getpid()).front().at("Seccomp");
        for (proc_status status : threads_of(daemon.process().id())) {
            CHECK(status["Seccomp"] == everybodys);
        }
        CHECK(daemon.serves());
    }
    SECTION("without Landlock") {
        daemon_process daemon({"--no-landlock"});
        CHECK_THAT(daemon.line("confined: "), EndsWith(", no landlock, seccomp"));
        CHECK(daemon.serves());
    }
}

TEST_CASE(
    "tftpd confines itself before the first thread and datagram", "[system][tftpd][sandbox]"
) {
    need_command({"strace", "-o", "/dev/null", "true"});
    const temp_dir dir;
    const fs::path trace = dir.path() / "trace";
    const std::string calls =
        "trace=bind,setgroups,setresgid,setresuid,capset,prctl,landlock_restrict_self,seccomp,"
        "clone,clone3,recvmmsg,recvmsg,recvfrom";
    daemon_process daemon(
        {"--threads", "2"}, {"127.0.0.1:0"}, {"strace", "-f", "-o", trace.string(), "-e", calls}
    );
    CHECK(daemon.serves());
    REQUIRE(::kill(child_of(daemon.process().id()), SIGTERM) == 0);
    REQUIRE(daemon.process().wait(daemon_limit) == 0);

    std::vector<std::string_view> order = {" bind("};
    if (::geteuid() == 0) {
        order.insert(order.end(), {" setgroups(", " setresgid(", " setresuid("});
    }
    // No capset: nothing is left to give up.
    order.push_back(" prctl(PR_SET_NO_NEW_PRIVS, 1");
    if (has_landlock()) {
        order.push_back(" landlock_restrict_self(");
    }
    order.insert(order.end(), {" seccomp(SECCOMP_SET_MODE_FILTER", " clone", " recv"});
    // Less what was only tried, to see whether it is allowed.
    std::string text;
    std::istringstream lines(read_file(trace));
    for (std::string line; std::getline(lines, line);) {
        text += line.find("(-1, ") == std::string::npos ? line + '\n' : std::string();
    }
    std::size_t before = 0;
    for (const std::string_view call : order) {
        INFO(call << " in\n" << text);
        const std::size_t at = text.find(call);
        REQUIRE(at != std::string::npos);
        CHECK(at >= before);
        before = at;
    }
}

TEST_CASE("tftpd knows the time zone, whose file is out of reach", "[system][tftpd][sandbox]") {
    if (!fs::exists("/usr/share/zoneinfo/Asia/Kolkata")) {
        skip("no time zones here (tzdata)");
    }
    daemon_process daemon({}, {"127.0.0.1:0"}, {"env", "TZ=Asia/Kolkata"});
    CHECK(daemon.serves());
    CHECK_THAT(daemon.line("is-anybody-there"), Contains("+05:30 "));
}

TEST_CASE("uploads and downloads work confined, in any thread", "[system][tftpd][sandbox]") {
    for (const auto& start : starts()) {
        daemon_process daemon(
            {"--writable", "create", "--overwrite", "replace", "--threads", "4"},
            {"127.0.0.1:0"},
            start
        );
        fs::create_directory(daemon.root() / "below");
        fs::permissions(daemon.root() / "below", fs::perms::all);
        // Each client has a port of its own, so the kernel spreads them.
        for (int i = 0; i < 40; ++i) {
            const std::string name = (i % 2 == 0 ? "file" : "below/file") + std::to_string(i % 8);
            const std::string content = make_content(3000, static_cast<std::uint64_t>(i));
            upload(daemon.server(), name, content);
            CHECK(holds(daemon.root() / name, content));
            CHECK(fetch(daemon.server(), name) == content);
        }
        daemon.process().send_signal(SIGTERM);
        CHECK(daemon.process().wait(daemon_limit) == 0);
    }
}
