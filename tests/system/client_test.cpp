#include "support/files.hpp"
#include "support/process.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

command client(const std::vector<std::string>& arguments) {
    command what = command_of({TFTP_TFTP_PROGRAM});
    what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
    return what;
}

/// Returns what the kernel says a process does: R, S (waits), D, ...
char state_of(pid_t process) {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(stat, text, ')');
    char state = '?';
    stat >> state;
    return state;
}

/// Returns whether a signal has been sent to a process and not been taken yet.
bool has_pending_signal(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);) {
        const bool pending = line.starts_with("SigPnd:") || line.starts_with("ShdPnd:");
        if (pending && line.find_first_of("123456789abcdef", 8) != std::string::npos) {
            return true;
        }
    }
    return false;
}

} // namespace

TEST_CASE("tftp and tftpd move files both ways", "[system][tftpd][tftp]") {
    daemon_process daemon({"--writable", "create"});
    const temp_dir here;
    const std::string where = tftp::to_string(daemon.server());
    const std::string content = make_content(3'000'000, 11);
    write_file(daemon.root() / "file", content);
    const std::string got = (here.path() / "got").string();

    CHECK(run(client({"get", where, "file", "-o", got}), daemon_limit).status == 0);
    CHECK(holds(got, content));
    CHECK_THAT(daemon.line("read \"file\" 3000000 bytes"), EndsWith(" ok"));

    CHECK(run(client({"put", where, got, "upload"}), daemon_limit).status == 0);
    CHECK(holds(daemon.root() / "upload", content));
    CHECK_THAT(daemon.line("write \"upload\" 3000000 bytes"), EndsWith(" ok"));

    CHECK(run(client({"put", where, got, "upload"}), daemon_limit).status == 9);
    CHECK(run(client({"get", where, "missing", "-o", got}), daemon_limit).status == 6);
    CHECK(holds(got, content));
}

TEST_CASE("tftp takes no more, and no longer, than it is told", "[system][tftpd][tftp]") {
    daemon_process daemon({"--writable", "create"});
    const temp_dir here;
    const std::string where = tftp::to_string(daemon.server());
    const std::string content = make_content(300'000, 15);
    write_file(daemon.root() / "file", content);
    const std::string got = (here.path() / "got").string();
    write_file(got, "old");
    for (const char* mode : {"octet", "netascii"}) {
        const run_result large =
            run(client({"get", "--mode", mode, "--max-size", "299999", where, "file", got}),
                daemon_limit);
        CHECK(large.status == 1);
        CHECK_THAT(
            large.errors,
            EndsWith("than the 299999 bytes that --max-size allows: nothing was stored\n")
        );
        CHECK(holds(got, "old"));
    }
    // What went to a stream is there as far as it came, and no further.
    const run_result streamed =
        run(client({"get", "--no-options", "--max-size", "100K", where, "file", "-o", "-"}),
            daemon_limit);
    CHECK(streamed.status == 1);
    CHECK(streamed.output.size() <= 102'400);
    CHECK(streamed.output == content.substr(0, streamed.output.size()));

    CHECK(
        run(client({"get", "--max-size", "300000", "--max-time", "60", where, "file", got}),
            daemon_limit)
            .status == 0
    );
    CHECK(holds(got, content));
    const udp_client silent;
    const std::string nobody = tftp::to_string(silent.local());
    for (const char* verb : {"get", "put"}) {
        const run_result late =
            run(client({verb, "--max-time", "0.05", nobody, verb[0] == 'g' ? "file" : got}),
                daemon_limit);
        CHECK(late.status == 3);
        CHECK_THAT(late.errors, Contains("in the time that --max-time allows"));
    }
}

TEST_CASE("tftp put arrives however windows leave", "[system][tftpd][tftp]") {
    const std::string how = GENERATE(as<std::string>(), "gso", "batch", "single");
    daemon_process daemon({"--writable", "create", "--sends", how});
    const temp_dir here;
    const std::string where = tftp::to_string(daemon.server());
    const std::string content = make_content(300'000, 12);
    const std::string file = (here.path() / "file").string();
    write_file(file, content);
    CHECK(run(client({"put", "--sends", how, where, file}), daemon_limit).status == 0);
    CHECK(holds(daemon.root() / "file", content));
    const std::string got = (here.path() / "got").string();
    CHECK(run(client({"get", where, "file", got}), daemon_limit).status == 0);
    CHECK(holds(got, content));
}

TEST_CASE("what standard output goes to is written to, not replaced", "[system][tftp]") {
    daemon_process daemon;
    const temp_dir here;
    const std::string where = tftp::to_string(daemon.server());
    write_file(daemon.root() / "file", "content\n");
    const fs::path mixed = here.path() / "mixed";
    const auto name = GENERATE(std::string("/dev/stdout"), std::string("mixed"));
    const std::string script = "cd '" + here.path().string() + "' && { echo before; " +
                               TFTP_TFTP_PROGRAM + " get --quiet " + where + " file -o " + name +
                               "; echo after; } >mixed";
    CHECK(run(command_of({"sh", "-c", script}), daemon_limit).status == 0);
    CHECK(holds(mixed, "before\ncontent\nafter\n"));

    const std::string both = "cd '" + here.path().string() + "' && " + TFTP_TFTP_PROGRAM +
                             " get --json " + where + " file -o " + name + " >>mixed";
    const run_result refused = run(command_of({"sh", "-c", both}), daemon_limit);
    CHECK(refused.status == 2);
    CHECK_THAT(refused.errors, Contains("cannot both go to standard output"));
    CHECK(holds(mixed, "before\ncontent\nafter\n"));
}

TEST_CASE("a signal ends tftp while it opens a FIFO", "[system][tftp][signals]") {
    const temp_dir here;
    const fs::path fifo = here.path() / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    child_process getting(client({"get", "127.0.0.1", "file", "-o", fifo.string()}));
    // It opens the file first, and that waits for a reader.
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    while (state_of(getting.id()) != 'S' && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
    }
    getting.send_signal(SIGTERM);
    CHECK(getting.wait(daemon_limit) == 128 + SIGTERM);
}

TEST_CASE("a second signal ends tftp at once, of whatever kind", "[system][tftp][signals]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", make_content(1'000'000, 3));
    const std::string where = tftp::to_string(daemon.server());
    const auto [first, second] = GENERATE(
        std::pair(SIGINT, SIGINT),
        std::pair(SIGINT, SIGTERM),
        std::pair(SIGTERM, SIGINT),
        std::pair(SIGHUP, SIGTERM)
    );
    // A pipe that nobody reads holds tftp up, signals included.
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    command what = client({"get", "--quiet", where, "file", "-o", "-"});
    what.stdout_fd = pipe[1];
    child_process getting(what);
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    ::pollfd room{pipe[1], POLLOUT, 0};
    while (::poll(&room, 1, 0) == 1 && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
    }
    getting.send_signal(first);
    // Taken before the second one comes.
    while (has_pending_signal(getting.id()) && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
    }
    getting.send_signal(second);
    CHECK(getting.wait(daemon_limit) == 128 + second);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("many clients at once get whole files", "[system][tftpd][tftp]") {
    daemon_process daemon({"--threads", "2"});
    const temp_dir here;
    const std::string where = tftp::to_string(daemon.server());
    const std::string content = make_content(500'000, 12);
    write_file(daemon.root() / "file", content);
    constexpr int clients = 16;
    const auto target = [&](int i) { return here.path() / std::to_string(i); };
    std::vector<std::unique_ptr<child_process>> running;
    for (int i = 0; i < clients; ++i) {
        running.push_back(std::make_unique<child_process>(
            client({"get", where, "file", "-o", target(i).string()})
        ));
    }
    for (int i = 0; i < clients; ++i) {
        CHECK(running[static_cast<std::size_t>(i)]->wait(daemon_limit) == 0);
        CHECK(holds(target(i), content));
    }
}

TEST_CASE("a file that changes while it is sent is not mixed up", "[system][tftpd][tftp]") {
    daemon_process daemon;
    // More than is read ahead: what was read already is sent in any case.
    const std::string content = make_content(3'000'000, 13);
    write_file(daemon.root() / "file", content);
    udp_client reader;
    const arrived opening = ask(reader, daemon.server(), rrq("file", {{"blksize", "30000"}}));
    arrived answer = ask(reader, opening.from, ack(0));
    SECTION("when another takes its name") {
        write_file(daemon.root() / "new", make_content(3000, 14));
        fs::rename(daemon.root() / "new", daemon.root() / "file");
        CHECK(fetch_rest(reader, answer, 30000) == content);
        CHECK(fetch(daemon.server(), "file") == make_content(3000, 14));
    }
    SECTION("when it becomes shorter") {
        fs::resize_file(daemon.root() / "file", 600);
        for (std::uint16_t block = 1; opcode_of(answer) == 3; ++block) {
            reader.send(opening.from, ack(block));
            answer = next(reader);
        }
        CHECK(error_code_of(answer) == 0);
        CHECK_THAT(daemon.line("\"file\""), EndsWith("became shorter while it was sent"));
    }
}
