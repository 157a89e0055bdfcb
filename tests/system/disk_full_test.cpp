#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/mount.h>
#include <sys/stat.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// Bytes that fit the small disk; a whole number of blocks.
constexpr std::size_t disk_octets = 64 * 1024;

/// A tmpfs of `disk_octets` at a directory of its own, seen by this process and its children only.
class small_disk {
public:
    small_disk() {
        need(try_own_mounts);
        // The namespace of the test ends with it, and so do the mounts.
        static const bool own_mounts = [] {
            enter_own_mounts();
            return true;
        }();
        REQUIRE(own_mounts);
        const char* const options = "size=64k,nr_inodes=8,mode=0777";
        REQUIRE(::mount("none", path().c_str(), "tmpfs", 0, options) == 0);
    }

    ~small_disk() { ::umount2(path().c_str(), MNT_DETACH); }

    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;

    [[nodiscard]] const fs::path& path() const { return dir_.path(); }

    /// Returns the free bytes: what an upload has taken and not given back is missing.
    [[nodiscard]] std::uintmax_t available() const { return fs::space(path()).available; }

private:
    temp_dir dir_;
};

/// Uploads in windows of `window` blocks, and returns the last answer: the last ACK or an ERROR.
arrived upload(const tftp::endpoint& server, std::string_view content, std::uint16_t window) {
    udp_client client;
    const arrived ready =
        ask(client, server, wrq("file", {{"windowsize", std::to_string(window)}}));
    REQUIRE(ready.octets == oack({{"windowsize", std::to_string(window)}}));
    const auto blocks = static_cast<std::uint16_t>(content.size() / 512 + 1);
    arrived answer = ready;
    std::uint16_t sent = 0;
    while (sent < blocks) {
        const std::uint16_t acknowledged = sent;
        const int end = std::min<int>(blocks, sent + window);
        while (sent < end) {
            ++sent;
            client.send(ready.from, data_of(sent, block_of(content, sent)));
        }
        do {
            answer = next(client);
            // Where this program had to wait for a processor, the server has repeated itself.
        } while (acknowledged != 0 && answer.octets == ack(acknowledged));
        if (error_code_of(answer)) {
            break;
        }
        REQUIRE(answer.octets == ack(sent));
    }
    return answer;
}

} // namespace

TEST_CASE("a full disk is ERROR 3 and nothing is left", "[system][tftpd][uploads]") {
    const auto window = GENERATE(as<std::uint16_t>(), 1, 8);
    const auto fsync = GENERATE(as<std::string>(), "yes", "no");
    const auto overwrite = GENERATE(as<std::string>(), "replace", "keep=2");
    INFO("window " << window << ", fsync " << fsync << ", " << overwrite);
    const small_disk disk;
    // One thread: what an upload gives back is free when the next one is heard.
    daemon_process daemon(
        {"--threads=1",
         "--writable=create",
         "--overwrite",
         overwrite,
         "--fsync",
         fsync,
         "--upload-dir",
         disk.path().string()}
    );
    const auto refused = [&](std::size_t size) {
        const arrived answer = upload(daemon.server(), std::string(size, 'x'), window);
        return error_code_of(answer) == 3;
    };
    const auto names = [&] {
        return std::distance(fs::directory_iterator(disk.path()), fs::directory_iterator());
    };

    SECTION("in the middle") {
        CHECK(refused(4 * disk_octets));
        CHECK_THAT(daemon.line("write \"file\""), Contains("No space left on device"));
        CHECK(names() == 0);
    }
    SECTION("at the last octet, which is not acknowledged") {
        CHECK(refused(disk_octets + 1));
        CHECK(names() == 0);
        CHECK(
            error_code_of(upload(daemon.server(), std::string(disk_octets, 'x'), window)) ==
            std::nullopt
        );
        CHECK(holds(disk.path() / "file", std::string(disk_octets, 'x')));
    }
    SECTION("and the old file stays") {
        const std::string old(disk_octets / 2, 'o');
        REQUIRE(!error_code_of(upload(daemon.server(), old, window)));
        CHECK(refused(disk_octets / 2 + 1));
        CHECK(names() == 1);
        CHECK(holds(disk.path() / "file", old));
    }
    SECTION("when there is no inode") {
        for (int i = 0; disk.available() > 0 && i < 10; ++i) {
            std::ofstream(disk.path() / std::to_string(i));
        }
        const auto before = names();
        CHECK(refused(1));
        CHECK(names() == before);
    }
    SECTION("by the announced size, before any DATA") {
        udp_client client;
        const std::string size = std::to_string(disk_octets + 1);
        CHECK(error_code_of(ask(client, daemon.server(), wrq("file", {{"tsize", size}}))) == 3);
    }
    SECTION("when somebody else took the room since the request") {
        udp_client client;
        const std::string size = std::to_string(disk_octets);
        const arrived ready = ask(client, daemon.server(), wrq("file", {{"tsize", size}}));
        REQUIRE(ready.octets == oack({{"tsize", size}}));
        write_file(disk.path() / "other", std::string(disk_octets / 2, 'x'));
        CHECK(error_code_of(ask(client, ready.from, data(1))) == 3);
        CHECK(names() == 1);
    }
    if (names() == 0) {
        // Nothing hidden either: a file without a name would still take its room.
        daemon.process().send_signal(SIGTERM);
        CHECK(daemon.process().wait(daemon_limit) == 0);
        CHECK(disk.available() == disk_octets);
    }
}
