#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

std::optional<std::uint16_t>
refusal(const daemon_process& daemon, const char* name, const option_pairs& options = {}) {
    udp_client client;
    return error_code_of(ask(client, daemon.server(), wrq(name, options)));
}

/// Uploads in lockstep and returns the answer to the last block.
arrived upload(const daemon_process& daemon, const char* name, std::string_view content) {
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq(name));
    REQUIRE(ready.octets == ack(0));
    return store_rest(client, ready.from, content);
}

/// Names in the directory: a temporary file left behind would be among them.
std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& each : fs::directory_iterator(directory)) {
        names.push_back(each.path().filename().string());
    }
    return names;
}

/// Sends `blocks` full blocks to a transfer that is ready for the first.
void send_blocks(udp_client& client, const tftp::endpoint& transfer, std::uint16_t blocks) {
    for (std::uint16_t block = 1; block <= blocks; ++block) {
        REQUIRE(ask(client, transfer, data(block)).octets == ack(block));
    }
}

} // namespace

TEST_CASE("uploads are refused by default", "[system][tftpd][uploads]") {
    daemon_process daemon;
    write_file(daemon.root() / "old", "old");
    CHECK(refusal(daemon, "new") == 2);
    CHECK(refusal(daemon, "old") == 2);
    CHECK(names_in(daemon.root()) == std::vector<std::string>{"old"});
    CHECK_THAT(daemon.line("write \"new\""), EndsWith("Uploads are not enabled"));
}

TEST_CASE("--writable existing replaces what is there", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "existing"});
    const fs::path file = daemon.root() / "file";
    write_file(file, "old");
    SECTION("and keeps its permissions") {
        REQUIRE(::chmod(file.c_str(), 0666) == 0);
        CHECK(upload(daemon, "file", "new content").octets == ack(1));
        CHECK(holds(file, "new content"));
        CHECK(fs::status(file).permissions() == fs::perms(0666));
    }
    SECTION("and makes no new name") {
        CHECK(refusal(daemon, "new") == 1);
    }
    SECTION("and replaces nothing but a file that its user may write") {
        fs::create_directory(daemon.root() / "directory");
        CHECK(refusal(daemon, "directory") == 2);
        REQUIRE(::chmod(file.c_str(), 0444) == 0);
        CHECK(refusal(daemon, "file") == 2);
        CHECK(holds(file, "old"));
    }
    SECTION("and writes a file of somebody else in a sticky directory in place") {
        need_root();
        const fs::path sticky = daemon.root() / "sticky";
        fs::create_directory(sticky);
        REQUIRE(::chmod(sticky.c_str(), 01777) == 0);
        write_file(sticky / "theirs", "old");
        write_file(sticky / "own", "old");
        REQUIRE(::chown((sticky / "own").c_str(), 65534, 65534) == 0);
        struct ::stat before = {};
        struct ::stat after = {};
        REQUIRE(::stat((sticky / "theirs").c_str(), &before) == 0);
        CHECK(upload(daemon, "sticky/theirs", "new").octets == ack(1));
        REQUIRE(::stat((sticky / "theirs").c_str(), &after) == 0);
        CHECK(after.st_ino == before.st_ino);
        CHECK(after.st_uid == before.st_uid);
        CHECK(holds(sticky / "theirs", "new"));
        CHECK(upload(daemon, "sticky/own", "new").octets == ack(1));
        CHECK(holds(sticky / "own", "new"));
    }
}

TEST_CASE("--writable create takes new names", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create"});
    SECTION("of every size around a block") {
        for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 5000U}) {
            INFO(size);
            const std::string name = "file" + std::to_string(size);
            const std::string content = make_content(size, size);
            const arrived last = upload(daemon, name.c_str(), content);
            CHECK(last.octets == ack(static_cast<std::uint16_t>(size / 512 + 1)));
            // Not "in the end": the final ACK says that the file is in place.
            CHECK(holds(daemon.root() / name, content));
        }
    }
    SECTION("readable for all, writable for its user") {
        upload(daemon, "file", "content");
        struct ::stat about = {};
        REQUIRE(::stat((daemon.root() / "file").c_str(), &about) == 0);
        CHECK((about.st_mode & 07777) == 0644);
        if (::geteuid() == 0) {
            CHECK(about.st_uid == 65534);
        }
        CHECK(fetch(daemon.server(), "file") == "content");
    }
    SECTION("in directories that exist, and makes none") {
        fs::create_directory(daemon.root() / "logs");
        fs::permissions(daemon.root() / "logs", fs::perms::all);
        CHECK(upload(daemon, "logs\\file", "content").octets == ack(1));
        CHECK(holds(daemon.root() / "logs" / "file", "content"));
        CHECK(refusal(daemon, "missing/file") == 1);
    }
    SECTION("and replaces nothing") {
        write_file(daemon.root() / "file", "old");
        CHECK(refusal(daemon, "file") == 6);
        CHECK(holds(daemon.root() / "file", "old"));
    }
    SECTION("and lets the first of two win") {
        udp_client first;
        udp_client second;
        const arrived one = ask(first, daemon.server(), wrq("file"));
        const arrived two = ask(second, daemon.server(), wrq("file"));
        CHECK(ask(first, one.from, data_of(1, "first")).octets == ack(1));
        CHECK(error_code_of(ask(second, two.from, data_of(1, "second"))) == 6);
        CHECK(holds(daemon.root() / "file", "first"));
    }
    CHECK_THAT(names_in(daemon.root()), !Catch::VectorContains(std::string(".")));
    for (const std::string& name : names_in(daemon.root())) {
        CHECK(name.front() != '.');
    }
}

TEST_CASE("--overwrite decides over an existing file", "[system][tftpd][uploads]") {
    SECTION("replace under create") {
        daemon_process daemon({"--writable", "create", "--overwrite", "replace"});
        write_file(daemon.root() / "file", "old");
        CHECK(upload(daemon, "file", "new").octets == ack(1));
        CHECK(holds(daemon.root() / "file", "new"));
    }
    SECTION("deny under existing, which leaves nothing") {
        daemon_process daemon({"--writable", "existing", "--overwrite", "deny"});
        write_file(daemon.root() / "file", "old");
        CHECK(refusal(daemon, "file") == 6);
        CHECK(refusal(daemon, "new") == 1);
    }
}

TEST_CASE("a broken upload leaves everything as it was", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--overwrite", "replace", "--give-up", "1"});
    write_file(daemon.root() / "file", "old");
    udp_client client;
    const auto begin = [&](const char* name, const option_pairs& options = {}) {
        const arrived ready = ask(client, daemon.server(), wrq(name, options));
        REQUIRE(!error_code_of(ready));
        return ready.from;
    };

    SECTION("when the client vanishes") {
        send_blocks(client, begin("file", {{"timeout", "1"}}), 3);
        CHECK_THAT(daemon.line("write \"file\""), Contains("stopped answering"));
    }
    SECTION("when the client gives up") {
        const tftp::endpoint transfer = begin("file");
        send_blocks(client, transfer, 3);
        client.send(transfer, error_packet(0, "no more"));
        CHECK_THAT(daemon.line("write \"file\""), EndsWith("client: error 0 \"no more\""));
    }
    SECTION("when less came than was announced") {
        const tftp::endpoint transfer = begin("file", {{"tsize", "5000"}});
        CHECK(error_code_of(ask(client, transfer, data(1, 100))) == 0);
    }
    SECTION("when a block is too large") {
        const tftp::endpoint transfer = begin("file");
        CHECK(error_code_of(ask(client, transfer, data(1, 513))) == 4);
    }
    SECTION("when the same client starts over") {
        send_blocks(client, begin("file"), 3);
        const arrived again = ask(client, daemon.server(), wrq("other"));
        CHECK(again.octets == ack(0));
        CHECK(store_rest(client, again.from, "content").octets == ack(1));
        REQUIRE(fs::remove(daemon.root() / "other"));
    }
    SECTION("when the daemon is told to stop") {
        send_blocks(client, begin("file"), 3);
        daemon.process().send_signal(SIGTERM);
        daemon.process().send_signal(SIGINT);
        CHECK(daemon.process().wait(daemon_limit) == 0);
    }
    SECTION("when the daemon is killed") {
        send_blocks(client, begin("file"), 3);
        daemon.process().send_signal(SIGKILL);
        CHECK(daemon.process().wait(daemon_limit) == 128 + SIGKILL);
    }
    CHECK(holds(daemon.root() / "file", "old"));
    CHECK(names_in(daemon.root()) == std::vector<std::string>{"file"});
}

TEST_CASE("new files have mode 0644 whatever the umask", "[system][tftpd][uploads]") {
    for (const char* mask : {"000", "077", "777"}) {
        INFO(mask);
        const std::string script = std::string("umask ") + mask + "; exec \"$0\" \"$@\"";
        daemon_process daemon(
            {"--writable", "create", "--overwrite", "replace"},
            {"127.0.0.1:0"},
            {"/bin/sh", "-c", script}
        );
        // The second one replaces the first.
        for (const char* content : {"one", "two"}) {
            CHECK(upload(daemon, "file", content).octets == ack(1));
            CHECK(fs::status(daemon.root() / "file").permissions() == fs::perms(0644));
        }
        CHECK(fetch(daemon.server(), "file") == "two");
    }
}

TEST_CASE("an upload makes nothing before its first block", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create"});
    udp_client client;
    CHECK(
        ask(client, daemon.server(), wrq("file", {{"tsize", "100"}})).octets ==
        oack({{"tsize", "100"}})
    );
    CHECK(names_in(daemon.root()).empty());
}

TEST_CASE("the last DATA is acknowledged again when it comes again", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create"});
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq("file"));
    const arrived last = ask(client, ready.from, data_of(1, "content"));
    CHECK(last.octets == ack(1));
    CHECK(ask(client, ready.from, data_of(1, "content")) == last);
    CHECK(holds(daemon.root() / "file", "content"));
}

TEST_CASE("--quota-file bounds an upload", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--quota-file", "1000"});
    SECTION("by its announced size, before any DATA") {
        CHECK(refusal(daemon, "file", {{"tsize", "1001"}}) == 3);
        udp_client client;
        CHECK(
            ask(client, daemon.server(), wrq("file", {{"tsize", "1000"}})).octets ==
            oack({{"tsize", "1000"}})
        );
    }
    SECTION("by what really comes") {
        CHECK(error_code_of(upload(daemon, "file", std::string(1001, 'x'))) == 3);
        CHECK_THAT(daemon.line("write \"file\""), EndsWith("The file is larger than allowed here"));
    }
    CHECK(names_in(daemon.root()).empty());
}

TEST_CASE("an upload of exactly the quota is taken", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--quota-file", "1000", "--fsync", "no"});
    CHECK(upload(daemon, "file", std::string(1000, 'x')).octets == ack(2));
    CHECK(holds(daemon.root() / "file", std::string(1000, 'x')));
}

TEST_CASE("a full file system is told before the client ends", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create"});
    // More than any disk has; nothing is allocated for it.
    CHECK(refusal(daemon, "file", {{"tsize", "9000000000000000000"}}) == 3);
    CHECK(names_in(daemon.root()).empty());
}
