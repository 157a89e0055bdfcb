#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
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

/// Returns whether the answer is that ERROR; a datagram too large to be a request may get none.
bool refused_or_silent(daemon_process& daemon, const datagram& request, std::uint16_t code) {
    udp_client client;
    client.send(daemon.server(), request);
    // Answers come in the order of the requests.
    client.send(daemon.server(), rrq("missing"));
    const arrived answer = next(client);
    UNSCOPED_INFO("code " << error_code_of(answer).value_or(99));
    return error_code_of(answer) == code ||
           (request.size() > 512 && error_code_of(answer).has_value());
}

std::size_t files_beneath(const fs::path& directory) {
    return static_cast<std::size_t>(std::distance(fs::recursive_directory_iterator(directory), {}));
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
            skip(std::string("no device can be made here: ") + std::strerror(errno));
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
    SECTION("whatever others may do in the directories above a file") {
        const fs::path closed = daemon.root() / "closed";
        fs::create_directory(closed);
        write_file(closed / "file", "content");
        REQUIRE(::chmod(closed.c_str(), 0700) == 0);
        if (::geteuid() == 0) {
            // Not the daemon's own: it cannot enter it.
            CHECK(refusal(daemon, "closed/file") == 2);
            REQUIRE(::chown(closed.c_str(), 65534, 65534) == 0);
        }
        CHECK(fetch(daemon.server(), "closed/file") == "content");
    }
    SECTION("no name with control characters, and none that uploads hide behind") {
        CHECK(refusal(daemon, "new\nline") == 2);
        CHECK(refusal(daemon, "\x1b[2J") == 2);
        write_file(daemon.root() / ".tftp-0123456789abcdef", "half");
        for (const char* name :
             {".tftp-0123456789abcdef", "/.\\.tftp-0123456789abcdef", ".tftp-"}) {
            CHECK(refusal(daemon, name) == 2);
            CHECK(refusal(daemon, name, true) == 2);
        }
    }
}

TEST_CASE("no name of a published vulnerability does harm", "[system][tftpd][names]") {
    const outside beside;
    const std::string secret = beside.dir.path().filename().string() + "/secret";
    daemon_process daemon({"--writable", "create"});
    const auto before = files_beneath(daemon.root());

    SECTION("spellings of the parent directory") {
        for (const std::string up :
             {"../", "..\\", "/../", "\\..\\", "./../", ".\\..\\", "//..//", "x/../../"}) {
            INFO(up);
            CHECK(refusal(daemon, up + secret) == 2);
            CHECK(refusal(daemon, up + secret, true) == 2);
        }
        // These have no meaning here: there are no such directories.
        for (const std::string odd :
             {"....//",
              "....\\\\",
              ".../",
              "..;/",
              "%2e%2e/",
              "%2e%2e%2f",
              "..%5c",
              "..%c0%af",
              "\xc0\xae\xc0\xae/",
              "C:\\",
              "C:/",
              "\\\\host\\share\\",
              "~/",
              "~root/",
              "file:///"}) {
            INFO(odd);
            CHECK(refusal(daemon, odd + secret) == 1);
            CHECK(refusal(daemon, odd + secret, true) == 1);
        }
    }
    SECTION("full paths") {
        for (const char* name :
             {"/etc/passwd",
              "//etc/passwd",
              "\\etc\\passwd",
              "/proc/self/environ",
              "/dev/zero",
              "/dev/stdin",
              "c:/boot.ini"}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 1);
            CHECK(refusal(daemon, name, true) == 1);
        }
    }
    SECTION("device names of other systems are plain names") {
        for (const char* name : {"CON", "NUL", "AUX", "PRN", "COM1", "LPT1.txt", "file::$DATA"}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 1);
        }
    }
    SECTION("formats are plain names") {
        for (const char* name : {"%n%n%n%n", "%s%s%s%s", "%99999999d", "{}{0}{:99999}"}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 1);
            CHECK(!daemon.line(name).empty());
        }
    }
    SECTION("long names and modes") {
        for (const std::size_t size : {256U, 500U, 1024U, 1500U, 30'000U}) {
            INFO(size);
            const std::string name(size, 'a');
            CHECK(refused_or_silent(daemon, rrq(name), 2));
            CHECK(refused_or_silent(daemon, wrq(name), 2));
            CHECK(refused_or_silent(daemon, rrq(name + "/" + name), 2));
            CHECK(refused_or_silent(daemon, rrq("file", {}, name), 4));
        }
        std::string deep;
        for (int i = 0; i < 200; ++i) {
            deep += "a/";
        }
        CHECK(refusal(daemon, deep + "b") == 1);
    }
    SECTION("no name, and names without a file") {
        for (const char* name : {"/", "\\", ".", "./", "..", "/."}) {
            INFO(name);
            CHECK(refusal(daemon, name) == 2);
            CHECK(refusal(daemon, name, true) == 2);
        }
        CHECK(refusal(daemon, "file/", true) == 2);
        CHECK(refusal(daemon, "") == 4);
        CHECK(refusal(daemon, "", true) == 4);
    }
    SECTION("a NUL ends the name, and what follows is the mode") {
        udp_client client;
        datagram hidden = octets(std::string("\0\2", 2));
        append_string(hidden, "allowed");
        append_string(hidden, "../secret");
        append_string(hidden, "octet");
        CHECK(error_code_of(ask(client, daemon.server(), hidden)) == 4);
    }
    CHECK(daemon.serves());
    CHECK(files_beneath(daemon.root()) == before);
    CHECK(holds(beside.dir.path() / "secret", "secret"));
}
