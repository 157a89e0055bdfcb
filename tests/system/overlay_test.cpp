// The root of the server in a container image: an overlay file system, which can tell of no content
// whether it is in memory.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/fuse_disk.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/fetch.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <sys/mount.h>

using namespace tftp::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// An overlay file system, empty, that only this process and its children see.
class overlay {
public:
    overlay() {
        fuse_disk::prepare();
        const fs::path& at = base_.path();
        require(::mount("tmpfs", at.c_str(), "tmpfs", 0, nullptr));
        for (const char* const each : {"lower", "upper", "work", "root"}) {
            fs::create_directory(at / each);
        }
        fs::permissions(at / "upper", fs::perms::all);
        const std::string options = "lowerdir=" + (at / "lower").string() +
                                    ",upperdir=" + (at / "upper").string() +
                                    ",workdir=" + (at / "work").string();
        require(::mount("overlay", root().c_str(), "overlay", 0, options.c_str()));
    }

    overlay(const overlay&) = delete;
    overlay& operator=(const overlay&) = delete;

    ~overlay() {
        ::umount2(root().c_str(), MNT_DETACH);
        ::umount2(base_.path().c_str(), MNT_DETACH);
    }

    [[nodiscard]] fs::path root() const { return base_.path() / "root"; }

private:
    static void require(int outcome) {
        if (outcome != 0) {
            throw refused_here("overlay file system", errno);
        }
    }

    temp_dir base_;
};

/// The daemon, with its root on an overlay.
class image {
public:
    explicit image(const std::vector<std::string>& options = {}) {
        need([this] { disk_.emplace(); });
        const std::optional<std::string> before = temporary();
        ::setenv("TMPDIR", disk_->root().c_str(), 1);
        daemon_.emplace(options);
        if (before) {
            ::setenv("TMPDIR", before->c_str(), 1);
        } else {
            ::unsetenv("TMPDIR");
        }
    }

    [[nodiscard]] daemon_process& daemon() { return *daemon_; }

    [[nodiscard]] const tftp::endpoint& server() const { return daemon_->server(); }

private:
    static std::optional<std::string> temporary() {
        const char* const value = std::getenv("TMPDIR");
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    }

    std::optional<overlay> disk_;
    std::optional<daemon_process> daemon_;
};

/// What a process has read by system calls.
struct reads {
    std::uint64_t bytes = 0;
    std::uint64_t calls = 0;
};

reads reads_of(pid_t process) {
    std::ifstream counters("/proc/" + std::to_string(process) + "/io");
    reads out;
    std::string name;
    for (std::uint64_t value = 0; counters >> name >> value;) {
        if (name == "rchar:") {
            out.bytes = value;
        } else if (name == "syscr:") {
            out.calls = value;
        }
    }
    REQUIRE(out.calls != 0);
    return out;
}

constexpr std::size_t file_octets = 1'000'000;

} // namespace

TEST_CASE("a file of a container image is sent from where it stands", "[system][tftpd][overlay]") {
    const auto how = GENERATE(way{1428, 16}, way{512, 64}, way{16'384, 4}, way{65'464, 1});
    INFO(how);
    image w({"--threads", "1", "--blksize-max", "65464"});
    const std::string content = make_content(file_octets, 1);
    write_file(w.daemon().root() / "file", content);
    udp_client holder;
    REQUIRE(opcode_of(ask(holder, w.server(), rrq("file"))) == 3);

    const pid_t id = w.daemon().process().id();
    CHECK((fetch_by(w.server(), "file", how).content == content));
    const reads first = reads_of(id);
    CHECK((fetch_by(w.server(), "file", how).content == content));
    // The last window is read, as it ends in a short block.
    CHECK(reads_of(id).bytes - first.bytes < 200'000);
}

TEST_CASE(
    "small windows of a container image are read in larger pieces", "[system][tftpd][overlay]"
) {
    const auto how = GENERATE(way{512, 1}, way{1428, 1}, way{512, 16}, way{1428, 8, "netascii"});
    INFO(how);
    image w({"--threads", "1"});
    // Text, and the same in both modes.
    std::string content(file_octets / 4, 'x');
    write_file(w.daemon().root() / "file", content);
    const pid_t id = w.daemon().process().id();
    const reads before = reads_of(id);
    CHECK((fetch_by(w.server(), "file", how).content == content));
    const reads after = reads_of(id);
    CHECK(after.bytes - before.bytes < 2 * content.size());
    if (how.mode == "octet") {
        CHECK(after.calls - before.calls < 40);
    }
}

TEST_CASE("netascii leaves memory to those who read an image", "[system][tftpd][overlay]") {
    image w({"--threads", "1", "--blksize-max", "8192", "--max-per-client", "1000"});
    const std::string lines = [] {
        std::string text;
        while (text.size() < file_octets) {
            text += "a line of a file that is long enough\n";
        }
        return text;
    }();
    write_file(w.daemon().root() / "text", lines);
    const std::string content = make_content(file_octets, 2);
    write_file(w.daemon().root() / "file", content);
    // As many as would take all of the memory, and more, each with its first window.
    std::vector<std::unique_ptr<udp_client>> hogs;
    int served = 0;
    for (int i = 0; i < 300; ++i) {
        udp_client& hog = *hogs.emplace_back(std::make_unique<udp_client>());
        const arrived oack = ask(
            hog, w.server(), rrq("text", {{"blksize", "8192"}, {"windowsize", "16"}}, "netascii")
        );
        REQUIRE(opcode_of(oack) == 6);
        hog.send(oack.from, ack(0));
        served += opcode_of(next(hog)) == 3 ? 1 : 0;
    }
    CHECK(served == 128);
    const auto begun = std::chrono::steady_clock::now();
    for (const way& how : {way{512, 1}, way{1428, 16}, way{8192, 16}}) {
        CHECK((fetch_by(w.server(), "file", how).content == content));
    }
    CHECK(std::chrono::steady_clock::now() - begun < 10s);
}
