#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/fuse_disk.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

/// A file system below the served directory that stops answering.
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using steady = std::chrono::steady_clock;

/// The real daemon with a file on a disk of its own, and in "far" one on a disk that can stall.
class two_disks {
public:
    explicit two_disks(const std::vector<std::string>& options = {}) {
        need(fuse_disk::try_here);
        fuse_disk::prepare();
        daemon.emplace(options);
        std::filesystem::create_directory(daemon->root() / "far");
        disk.emplace(daemon->root() / "far", far);
        write_file(daemon->root() / "near", near);
    }

    [[nodiscard]] const tftp::endpoint& server() const { return daemon->server(); }

    /// Other clients notice nothing: files come, and uploads stand, as quickly as ever.
    void check_others() {
        const auto begun = steady::now();
        for (int i = 0; i < 20; ++i) {
            CHECK(fetch(server(), "near") == near);
        }
        udp_client client;
        const arrived ready = ask(client, server(), wrq("upload"));
        CHECK(store_rest(client, ready.from, near).octets == ack(40));
        CHECK(holds(daemon->root() / "upload", near));
        CHECK(steady::now() - begun < 5s);
    }

    const std::string near = make_content(20'000, 1);
    const std::string far = make_content(20'000, 2);
    // The disk goes first: who waits for it must not keep the daemon from ending.
    std::optional<daemon_process> daemon;
    std::optional<fuse_disk> disk;
};

const std::vector<std::string> taking_uploads{"--writable", "create", "--overwrite", "replace"};

} // namespace

TEST_CASE("tftpd serves a file system that another process answers for", "[system][tftpd][stall]") {
    two_disks w;
    CHECK(fetch(w.server(), "far/file") == w.far);
    udp_client client;
    CHECK(error_code_of(ask(client, w.server(), rrq("far/none"))) == 1);
}

TEST_CASE("a disk that stalls in open holds up its own transfers only", "[system][tftpd][stall]") {
    two_disks w(taking_uploads);
    w.disk->stall();
    std::vector<std::unique_ptr<udp_client>> waiting;
    for (int i = 0; i < 40; ++i) {
        waiting.push_back(std::make_unique<udp_client>());
        const bool upload = i % 4 == 3;
        waiting.back()->send(w.server(), upload ? wrq("far/new") : rrq("far/file"));
    }
    REQUIRE(w.disk->wait_for_request(20s));
    w.check_others();
    w.disk->recover();
    // Those that waited are served, or refused, now.
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        const arrived answer = next(*waiting[i]);
        if (i % 4 == 3) {
            CHECK(answer.octets == ack(0));
        } else {
            CHECK(fetch_rest(*waiting[i], answer) == w.far);
        }
    }
}

TEST_CASE("thousands that ask a stalled disk are no one else's concern", "[system][tftpd][stall]") {
    two_disks w(taking_uploads);
    udp_client reader;
    const arrived first = ask(reader, w.server(), rrq("far/file"));
    REQUIRE(opcode_of(first) == 3);
    w.disk->stall();
    std::vector<std::unique_ptr<udp_client>> waiting;
    for (int i = 0; i < 500; ++i) {
        waiting.push_back(std::make_unique<udp_client>());
    }
    // More than may wait for all disks together.
    for (int i = 0; i < 10; ++i) {
        for (const auto& each : waiting) {
            each->send(w.server(), rrq("far/other" + std::to_string(i)));
        }
        CHECK(fetch(w.server(), "near") == w.near);
    }
    REQUIRE(w.disk->wait_for_request(20s));
    // What it has open there is closed without a wait for it.
    reader.send(first.from, error_packet(0, "enough"));
    w.check_others();
}

TEST_CASE("a disk that stalls in read holds up its own transfers only", "[system][tftpd][stall]") {
    two_disks w(taking_uploads);
    std::vector<std::unique_ptr<udp_client>> reading;
    std::vector<arrived> first;
    for (int i = 0; i < 40; ++i) {
        reading.push_back(std::make_unique<udp_client>());
        first.push_back(ask(*reading.back(), w.server(), rrq("far/file")));
        REQUIRE(opcode_of(first.back()) == 3);
    }
    w.disk->stall();
    for (std::size_t i = 0; i < reading.size(); ++i) {
        reading[i]->send(first[i].from, ack(1));
    }
    REQUIRE(w.disk->wait_for_request(20s));
    w.check_others();
    SECTION("until it answers again") {
        w.disk->recover();
        for (std::size_t i = 0; i < reading.size(); ++i) {
            CHECK(first[i].octets == data_of(1, block_of(w.far, 1)));
            const arrived second = next(*reading[i]);
            CHECK(second.octets == data_of(2, block_of(w.far, 2)));
        }
        w.check_others();
    }
    SECTION("and clients that leave meanwhile leave nothing behind") {
        for (std::size_t i = 0; i < reading.size(); ++i) {
            reading[i]->send(first[i].from, error_packet(0, "enough"));
        }
        w.check_others();
    }
}

TEST_CASE(
    "a disk that takes the place of a directory holds up its uploads only", "[system][tftpd][stall]"
) {
    two_disks w(taking_uploads);
    const std::filesystem::path place = w.daemon->root() / "place";
    std::filesystem::create_directory(place);
    std::filesystem::permissions(place, std::filesystem::perms::all);
    udp_client uploading;
    const arrived ready = ask(uploading, w.server(), wrq("place/new"));
    REQUIRE(ready.octets == ack(0));
    fuse_disk over(place, w.far);
    over.stall();
    uploading.send(ready.from, data_of(1, std::string(512, 'x')));
    w.check_others();
    CHECK(error_code_of(next(uploading)) == 2);
}

TEST_CASE("SIGTERM ends a server whose disk has stalled", "[system][tftpd][stall][signals]") {
    two_disks w({"--grace", "1"});
    w.disk->stall();
    udp_client client;
    client.send(w.server(), rrq("far/file"));
    REQUIRE(w.disk->wait_for_request(20s));
    const auto begun = steady::now();
    w.daemon->process().send_signal(SIGTERM);
    CHECK(w.daemon->process().wait(daemon_limit) == 0);
    // The disk never answers: what waits for it does not end.
    CHECK(steady::now() - begun < 10s);
    CHECK_FALSE(w.daemon->line("ended while a disk does not answer").empty());
}

namespace {

/// A daemon below whose directory several disks have died.
class dead_disks {
public:
    dead_disks(std::size_t count, const std::vector<std::string>& options) {
        try {
            fuse_disk::prepare();
            daemon.emplace(options);
            for (std::size_t i = 0; i < count; ++i) {
                const auto at = daemon->root() / ("dead" + std::to_string(i));
                std::filesystem::create_directory(at);
                disks.push_back(std::make_unique<fuse_disk>(at, make_content(20'000, 2)));
            }
        } catch (const refused_here& why) {
            skip(why.what());
        }
        for (const auto& each : disks) {
            each->stall();
        }
    }

    std::optional<daemon_process> daemon;
    std::vector<std::unique_ptr<fuse_disk>> disks;
};

/// Waits until the status of a file has not changed for so long that a server keeps it open.
void let_settle(const std::filesystem::path& file) {
    using file_clock = std::filesystem::file_time_type::clock;
    while (file_clock::now() - std::filesystem::last_write_time(file) < 2500ms) {
        std::this_thread::sleep_for(50ms);
    }
}

} // namespace

TEST_CASE("many disks that died leave threads to the others", "[system][tftpd][stall]") {
    constexpr std::size_t count = 9;
    dead_disks w(count, taking_uploads);
    const tftp::endpoint daemon = w.daemon->server();
    std::vector<std::unique_ptr<udp_client>> waiting;
    for (std::size_t i = 0; i < 8 * count; ++i) {
        waiting.push_back(std::make_unique<udp_client>());
        const std::string name = "dead" + std::to_string(i % count) + "/file";
        waiting.back()->send(daemon, i % 3 == 2 ? wrq(name) : rrq(name));
    }
    for (const auto& each : w.disks) {
        REQUIRE(each->wait_for_request(20s));
    }
    const std::string content = make_content(20'000, 1);
    const auto begun = steady::now();
    for (int i = 0; i < 8; ++i) {
        const std::string name = "upload" + std::to_string(i);
        udp_client client;
        const arrived ready = ask(client, daemon, wrq(name));
        CHECK(store_rest(client, ready.from, content).octets == ack(40));
        CHECK(fetch(daemon, name) == content);
    }
    CHECK(steady::now() - begun < 5s);
}

TEST_CASE("a disk that died over a name that is known holds nobody up", "[system][tftpd][stall]") {
    dead_disks w(0, {"--threads", "1"});
    const auto root = w.daemon->root();
    const tftp::endpoint daemon = w.daemon->server();
    const std::string content = make_content(20'000, 1);
    std::filesystem::create_directories(root / "a/b");
    write_file(root / "a/b/file", content);
    write_file(root / "near", content);
    let_settle(root / "a/b/file");
    // The server keeps the file, and the name with it.
    CHECK(fetch(daemon, "a/b/file") == content);
    CHECK(fetch(daemon, "a/b/file") == content);
    const auto over = GENERATE(as<std::string>(), "a", "a/b");
    fuse_disk disk(root / over, content);
    disk.stall();
    udp_client waiting;
    waiting.send(daemon, rrq("a/b/file"));
    REQUIRE(disk.wait_for_request(20s));
    const auto begun = steady::now();
    for (int i = 0; i < 5; ++i) {
        CHECK(fetch(daemon, "near") == content);
    }
    CHECK(steady::now() - begun < 5s);
    disk.recover();
    // On the disk that is there now.
    const arrived answer = next(waiting);
    if (over == "a/b") {
        CHECK(fetch_rest(waiting, answer) == content);
    } else {
        CHECK(error_code_of(answer) == 1);
    }
}

TEST_CASE("netascii leaves memory to those who read a remote disk", "[system][tftpd][stall]") {
    two_disks w({"--blksize-max", "8192"});
    // Netascii may take half of what all files may take together, stalled or not.
    std::vector<std::unique_ptr<udp_client>> hogs;
    for (int i = 0; i < 300; ++i) {
        udp_client& hog = *hogs.emplace_back(std::make_unique<udp_client>());
        const arrived oack = ask(
            hog, w.server(), rrq("near", {{"blksize", "8192"}, {"windowsize", "16"}}, "netascii")
        );
        REQUIRE(opcode_of(oack) == 6);
        hog.send(oack.from, ack(0));
        REQUIRE(opcode_of(next(hog)) != 0);
    }
    const auto begun = steady::now();
    CHECK(fetch(w.server(), "far/file") == w.far);
    CHECK(steady::now() - begun < 5s);
}
