// SIGTERM in the middle of anything: gone within the grace and a second, and nothing half done.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/base/endpoint.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/stat.h>

using namespace tftp::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

using steady = std::chrono::steady_clock;

constexpr auto grace = 1s;

/// Measures for how long the machine had no time for a thread that wanted to run: so long the
/// daemon may have had none either.
class pauses {
public:
    pauses() : watch_([this] { watch(); }) {}

    ~pauses() { static_cast<void>(stop()); }

    pauses(const pauses&) = delete;
    pauses& operator=(const pauses&) = delete;

    /// Ends the measurement and returns the sum.
    [[nodiscard]] steady::duration stop() {
        if (watch_.joinable()) {
            {
                const std::lock_guard lock(mutex_);
                stopped_ = true;
            }
            changed_.notify_one();
            watch_.join();
        }
        return sum_;
    }

private:
    void watch() {
        std::unique_lock lock(mutex_);
        while (!stopped_) {
            const auto due = steady::now() + 10ms;
            changed_.wait_until(lock, due, [this] { return stopped_; });
            sum_ += std::max(steady::now() - due, steady::duration(0));
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopped_ = false;
    steady::duration sum_{};
    std::thread watch_; // The last: it uses the others.
};

/// Sends SIGTERM and checks that the daemon ends well within `limit` from then on, not counting the
/// time in which the machine was busy with others.
void check_end(daemon_process& daemon, std::chrono::milliseconds limit) {
    pauses busy;
    const auto told = steady::now();
    daemon.process().send_signal(SIGTERM);
    CHECK(daemon.process().wait(daemon_limit) == 0);
    const auto taken = steady::now() - told;
    const auto paused = busy.stop();
    using std::chrono::milliseconds;
    CHECK(std::chrono::duration_cast<milliseconds>(taken - paused) <= limit);
}

/// Returns all names below the root, hidden ones included.
std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& each : fs::directory_iterator(directory)) {
        names.push_back(each.path().filename().string());
    }
    return names;
}

std::string upload_name(std::size_t i) {
    return "upload-" + std::to_string(i);
}

/// Returns whether `wanted` is among what has come.
bool hears(udp_client& client, const datagram& wanted) {
    while (const auto message = client.receive(0ms)) {
        if (message->octets == wanted) {
            return true;
        }
    }
    return false;
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
    SECTION("that was asked for a FIFO, which nobody writes to") {
        REQUIRE(::mkfifo((daemon.root() / "fifo").c_str(), 0666) == 0);
        udp_client client;
        CHECK(error_code_of(ask(client, daemon.server(), rrq("fifo"))) == 2);
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
    const std::string content = make_content(1000, 2);
    constexpr std::size_t clients_count = 8;
    std::size_t met = 0;
    for (const bool one_is_done : {false, true, false, true}) {
        // Without a grace, so that the end meets the commits themselves.
        daemon_process daemon({"--grace", "0", "--writable", "create"});
        std::array<udp_client, clients_count> clients;
        std::array<tftp::endpoint, clients_count> transfers;
        for (std::size_t i = 0; i < clients_count; ++i) {
            const arrived ready = ask(clients[i], daemon.server(), wrq(upload_name(i)));
            REQUIRE(ready.octets == ack(0));
            transfers[i] = ready.from;
            const datagram first = data_of(1, block_of(content, 1));
            REQUIRE(ask(clients[i], transfers[i], first).octets == ack(1));
        }
        for (std::size_t i = 0; i < clients_count; ++i) {
            clients[i].send(transfers[i], data_of(2, block_of(content, 2)));
        }
        while (one_is_done && next(clients[0]).octets != ack(2)) {
        }
        check_end(daemon, 1s);
        for (const std::string& name : names_in(daemon.root())) {
            INFO(name);
            CHECK(name.starts_with("upload-"));
            CHECK(holds(daemon.root() / name, content));
        }
        for (std::size_t i = one_is_done ? 1 : 0; i < clients_count; ++i) {
            const bool stands = fs::exists(daemon.root() / upload_name(i));
            CHECK((stands || !hears(clients[i], ack(2))));
            met += stands ? 1U : 0U;
        }
    }
    // Else no end has met a commit, and nothing is shown.
    CHECK(met > 0);
}

TEST_CASE("an upload that repeats its last ACK delays no end", "[system][tftpd][signals]") {
    daemon_process daemon({"--grace", "1", "--writable", "create"});
    udp_client client;
    // It would repeat it for 61 s.
    const arrived ready = ask(client, daemon.server(), wrq("upload", {{"timeout", "60"}}));
    REQUIRE(store_rest(client, ready.from, "content").octets == ack(1));
    check_end(daemon, grace + 1s);
    CHECK(holds(daemon.root() / "upload", "content"));
}
