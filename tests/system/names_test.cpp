#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

/// Asks for a name, checks that no path of the server is in the answer, and returns its error code.
std::optional<std::uint16_t>
refusal(daemon_process& daemon, const std::string& name, bool writes = false) {
    udp_client client;
    const arrived answer = ask(client, daemon.server(), writes ? wrq(name) : rrq(name));
    const std::string words = text(answer.octets);
    CHECK_THAT(words, !Catch::Matchers::Contains("/"));
    CHECK_THAT(words, !Catch::Matchers::Contains(daemon.root().filename().string()));
    return error_code_of(answer);
}

/// A directory beside the root, with a file that nobody is to get.
struct outside {
    outside() { write_file(dir.path() / "secret", "secret"); }

    temp_dir dir;
};

} // namespace

TEST_CASE("tftpd finds names however they are written", "[system][tftpd][names]") {
    daemon_process daemon;
    fs::create_directories(daemon.root() / "boot" / "pxe");
    write_file(daemon.root() / "boot" / "pxe" / "menu", "content");
    write_file(daemon.root() / "with space\xc3\xa4", "other");
    for (const char* name :
         {"boot/pxe/menu",
          "/boot/pxe/menu",
          "//boot///pxe/./menu",
          "\\boot\\pxe\\menu",
          "/boot\\pxe/menu",
          "./boot/pxe/menu"}) {
        INFO(name);
        CHECK(fetch(daemon.server(), name) == "content");
    }
    CHECK(fetch(daemon.server(), "with space\xc3\xa4") == "other");
}

TEST_CASE("no name leads out of the directory", "[system][tftpd][names]") {
    const outside beside;
    daemon_process daemon({"--writable", "create"});
    const std::string secret = (beside.dir.path() / "secret").string();
    const std::string sibling = "../" + beside.dir.path().filename().string() + "/secret";
    fs::create_symlink(secret, daemon.root() / "absolute");
    fs::create_symlink(sibling, daemon.root() / "relative");
    fs::create_directory_symlink(beside.dir.path(), daemon.root() / "directory");
    fs::create_symlink("loop", daemon.root() / "loop");

    SECTION("by parent directories") {
        for (const std::string& name :
             {sibling,
              "..\\" + sibling.substr(3),
              "x/../" + sibling,
              std::string(".."),
              "/" + sibling,
              std::string("../../../../etc/passwd")}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 2);
            CHECK(refusal(daemon, name, true) == 2);
        }
    }
    SECTION("by an absolute name, which is looked up in the directory") {
        CHECK(refusal(daemon, "/etc/passwd") == 1);
        CHECK(refusal(daemon, secret) == 1);
        CHECK(refusal(daemon, "C:\\boot.ini") == 1);
    }
    SECTION("by a symbolic link") {
        for (const char* name : {"absolute", "relative", "directory/secret", "loop"}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 2);
        }
        for (const char* name : {"absolute", "relative", "directory/new", "loop"}) {
            INFO(name);
            CHECK(refusal(daemon, name, true) == 2);
        }
    }
    CHECK(holds(secret, "secret"));
    CHECK(!fs::exists(beside.dir.path() / "new"));
}

TEST_CASE("links inside the directory are followed unless forbidden", "[system][tftpd][names]") {
    for (const bool follow : {true, false}) {
        INFO("follow " << follow);
        daemon_process daemon({"--symlinks", follow ? "inside" : "no"});
        write_file(daemon.root() / "file", "content");
        fs::create_symlink("file", daemon.root() / "link");
        if (follow) {
            CHECK(fetch(daemon.server(), "link") == "content");
        } else {
            CHECK(refusal(daemon, "link") == 2);
        }
        CHECK(fetch(daemon.server(), "file") == "content");
    }
}

TEST_CASE("only regular files that all may read are served", "[system][tftpd][names]") {
    daemon_process daemon;
    SECTION("no missing file") {
        CHECK(refusal(daemon, "missing") == 1);
        CHECK(refusal(daemon, "missing/file") == 1);
        write_file(daemon.root() / "file", "content");
        CHECK(refusal(daemon, "file/below") == 1);
        CHECK(refusal(daemon, std::string(256, 'a')) == 2);
    }
    SECTION("no directory") {
        fs::create_directory(daemon.root() / "directory");
        CHECK(refusal(daemon, "directory") == 2);
        CHECK(refusal(daemon, "directory/") == 2);
        CHECK(refusal(daemon, "/") == 2);
        CHECK(refusal(daemon, ".") == 2);
    }
    SECTION("no FIFO, and nobody waits for its writer") {
        REQUIRE(::mkfifo((daemon.root() / "fifo").c_str(), 0666) == 0);
        CHECK(refusal(daemon, "fifo") == 2);
        CHECK(daemon.serves());
    }
    SECTION("no device") {
        if (::mknod((daemon.root() / "zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) != 0) {
            WARN("no device: needs CAP_MKNOD");
            return;
        }
        REQUIRE(::chmod((daemon.root() / "zero").c_str(), 0666) == 0);
        CHECK(refusal(daemon, "zero") == 2);
    }
    SECTION("no file that only its owner may read") {
        write_file(daemon.root() / "private", "secret");
        REQUIRE(::chmod((daemon.root() / "private").c_str(), 0600) == 0);
        CHECK(refusal(daemon, "private") == 2);
        REQUIRE(::chmod((daemon.root() / "private").c_str(), 0660) == 0);
        CHECK(refusal(daemon, "private") == 2);
        if (::geteuid() == 0) {
            // Not even when the owner is the daemon itself.
            REQUIRE(::chown((daemon.root() / "private").c_str(), 65534, 65534) == 0);
            CHECK(refusal(daemon, "private") == 2);
        }
    }
    SECTION("no name with control characters, and none that uploads hide behind") {
        CHECK(refusal(daemon, "new\nline") == 2);
        CHECK(refusal(daemon, "\x1b[2J") == 2);
    }
}
