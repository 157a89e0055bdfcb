// SIGTERM in the middle of anything: gone within the grace and a second, and nothing half done.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr auto grace = 1s;

/// Sends SIGTERM and checks that the daemon ends well within `limit`.
void check_end(daemon_process& daemon, std::chrono::milliseconds limit) {
    const auto told = std::chrono::steady_clock::now();
    daemon.process().send_signal(SIGTERM);
    CHECK(daemon.process().wait(daemon_limit) == 0);
    const auto taken = std::chrono::steady_clock::now() - told;
    CHECK(std::chrono::duration_cast<std::chrono::milliseconds>(taken) <= limit);
}

/// Returns all names below the root, hidden ones included.
std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& each : fs::directory_iterator(directory)) {
        names.push_back(each.path().filename().string());
    }
    return names;
}

} // namespace

TEST_CASE("an idle tftpd is gone within a second", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "3600"});
    write_file(daemon.root() / "file", make_content(3000, 1));
    SECTION("that has done nothing yet") {
        check_end(daemon, 1s);
    }
    SECTION("that has served") {
        CHECK(fetch(daemon.server(), "file") == make_content(3000, 1));
        REQUIRE(daemon.serves());
        check_end(daemon, 1s);
    }
}

TEST_CASE("a tftpd told to end is gone within the grace", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "1", "--writable", "create", "--overwrite", "replace"});
    write_file(daemon.root() / "file", make_content(100'000, 1));
    udp_client client;
    const auto ask_for = [&](const datagram& request) {
        const arrived answer = ask(client, daemon.server(), request);
        REQUIRE(!error_code_of(answer));
        return answer;
    };
    SECTION("before the client has answered") {
        static_cast<void>(ask_for(rrq("file", {{"tsize", "0"}})));
    }
    SECTION("in the midst of a read in lockstep") {
        const arrived first = ask_for(rrq("file"));
        static_cast<void>(ask(client, first.from, ack(1)));
    }
    SECTION("in the midst of a window") {
        const arrived first = ask_for(rrq("file", {{"windowsize", "16"}}));
        static_cast<void>(ask(client, first.from, ack(0)));
    }
    SECTION("before the first block of an upload") {
        static_cast<void>(ask_for(wrq("upload")));
    }
    SECTION("in the midst of an upload in lockstep") {
        const arrived ready = ask_for(wrq("upload"));
        REQUIRE(ask(client, ready.from, data(1)).octets == ack(1));
        REQUIRE(ask(client, ready.from, data(2)).octets == ack(2));
    }
    SECTION("in the midst of an upload's window") {
        const arrived ready = ask_for(wrq("upload", {{"windowsize", "2"}}));
        client.send(ready.from, data(1));
        REQUIRE(ask(client, ready.from, data(2)).octets == ack(2));
        client.send(ready.from, data(3));
    }
    SECTION("in the midst of the replacement of a file") {
        const arrived ready = ask_for(wrq("file"));
        REQUIRE(ask(client, ready.from, data(1)).octets == ack(1));
    }
    check_end(daemon, grace + 1s);
    CHECK(names_in(daemon.root()) == std::vector<std::string>{"file"});
    CHECK(holds(daemon.root() / "file", make_content(100'000, 1)));
}

TEST_CASE("a commit is whole or not at all when tftpd ends", "[system][tftpd][signals]") {
    // Without a grace, so that the end meets the commit itself.
    daemon_process daemon({"--grace", "0", "--writable", "create"});
    const std::string content = make_content(1000, 2);
    constexpr int clients_count = 8;
    for (int i = 0; i < clients_count; ++i) {
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("upload-" + std::to_string(i)));
        REQUIRE(ready.octets == ack(0));
        REQUIRE(ask(client, ready.from, data_of(1, block_of(content, 1))).octets == ack(1));
        client.send(ready.from, data_of(2, block_of(content, 2)));
    }
    check_end(daemon, 1s);
    for (const std::string& name : names_in(daemon.root())) {
        INFO(name);
        CHECK(name.starts_with("upload-"));
        CHECK(holds(daemon.root() / name, content));
    }
}

TEST_CASE("an upload that repeats its last ACK delays no end", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "1", "--writable", "create"});
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq("upload"));
    REQUIRE(store_rest(client, ready.from, "content").octets == ack(1));
    check_end(daemon, grace + 1s);
    CHECK(holds(daemon.root() / "upload", "content"));
}
