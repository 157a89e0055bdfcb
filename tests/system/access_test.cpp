#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/lease.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

/// Which files are served and written: links, spellings of names, rights; and what the log says
/// about those that are not.
using namespace tftp::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

std::optional<std::uint16_t>
refusal(const daemon_process& daemon, const std::string& name, bool writes = false) {
    udp_client client;
    return error_code_of(ask(client, daemon.server(), writes ? wrq(name) : rrq(name)));
}

/// Uploads in lockstep; returns whether the last block was acknowledged.
bool upload(const daemon_process& daemon, const std::string& name, std::string_view content) {
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq(name));
    return ready.octets == ack(0) && store_rest(client, ready.from, content).octets == ack(1);
}

void make_directory(const fs::path& path) {
    fs::create_directory(path);
    fs::permissions(path, fs::perms::all);
}

/// Runs the daemon with its directory in that mode.
std::vector<std::string> with_mode(const char* mode) {
    const std::string change = std::string("for d; do :; done; chmod ") + mode + " \"$d\"; ";
    return {"sh", "-c", change + "exec \"$0\" \"$@\""};
}

} // namespace

TEST_CASE("tftpd serves absolute links that end inside", "[system][tftpd][access]") {
    const temp_dir beside;
    write_file(beside.path() / "secret", "secret");
    daemon_process daemon({"--writable", "create", "--overwrite", "replace"});
    make_directory(daemon.root() / "images");
    write_file(daemon.root() / "images" / "linux", "content");
    fs::create_symlink(daemon.root() / "images" / "linux", daemon.root() / "real");
    fs::create_symlink("/images/linux", daemon.root() / "inside");
    fs::create_symlink("/images", daemon.root() / "stable");
    fs::create_symlink(daemon.root(), beside.path() / "alias");
    fs::create_symlink(beside.path() / "alias" / "images", daemon.root() / "aliased");
    fs::create_symlink(beside.path() / "secret", daemon.root() / "out");
    fs::create_symlink(beside.path(), daemon.root() / "out-dir");
    for (const char* name : {"real", "inside", "stable/linux", "aliased/linux"}) {
        INFO(name);
        // Twice: the second time it may be had without waiting.
        CHECK(fetch(daemon.server(), name) == "content");
        CHECK(fetch(daemon.server(), name) == "content");
    }
    CHECK(refusal(daemon, "out") == 2);
    CHECK_THAT(
        daemon.line("\"out\""), EndsWith("with an absolute target leads out of the directory")
    );
    CHECK(refusal(daemon, "out-dir/secret") == 2);
    CHECK(upload(daemon, "stable/new", "new"));
    CHECK(holds(daemon.root() / "images" / "new", "new"));
    CHECK(refusal(daemon, "out-dir/new", true) == 2);
    CHECK_FALSE(fs::exists(beside.path() / "new"));
}

TEST_CASE("--symlinks says how links are read", "[system][tftpd][access]") {
    const temp_dir beside;
    make_directory(beside.path() / "tree");
    write_file(beside.path() / "tree" / "file", "beside");
    write_file(beside.path() / "secret", "secret");
    const auto fill = [&](const daemon_process& daemon) {
        write_file(daemon.root() / "file", "content");
        fs::create_symlink("/file", daemon.root() / "inside");
        fs::create_symlink(daemon.root() / "file", daemon.root() / "real");
        fs::create_symlink("../../../file", daemon.root() / "climbing");
        fs::create_symlink(beside.path() / "tree", daemon.root() / "tree");
        fs::create_symlink(beside.path() / "secret", daemon.root() / "secret");
    };
    SECTION("chroot: as if the directory were the top") {
        daemon_process daemon({"--symlinks", "chroot"});
        fill(daemon);
        CHECK(fetch(daemon.server(), "inside") == "content");
        CHECK(fetch(daemon.server(), "climbing") == "content");
        CHECK(refusal(daemon, "real") == 1);
        CHECK(refusal(daemon, "tree/file") == 1);
        CHECK(refusal(daemon, "../file") == 2);
    }
    SECTION("follow: to the trees of --link-target, which the confinement leaves open") {
        const std::string tree = (beside.path() / "tree").string();
        daemon_process daemon(
            {"--symlinks", "follow", "--link-target", tree, "--writable", "create"}
        );
        fill(daemon);
        CHECK(fetch(daemon.server(), "inside") == "content");
        CHECK(fetch(daemon.server(), "real") == "content");
        CHECK(fetch(daemon.server(), "tree/file") == "beside");
        CHECK(refusal(daemon, "tree/../secret") == 2);
        CHECK(refusal(daemon, "secret") == 2);
        CHECK(refusal(daemon, "climbing") == 2);
        CHECK(upload(daemon, "tree/new", "new"));
        CHECK(holds(beside.path() / "tree" / "new", "new"));
    }
    SECTION("follow: files are written through links, which stay") {
        const std::string tree = (beside.path() / "tree").string();
        daemon_process daemon(
            {"--symlinks", "follow", "--link-target", tree, "--writable", "existing"}
        );
        fill(daemon);
        fs::create_symlink(beside.path() / "tree" / "file", daemon.root() / "direct");
        for (const char* name : {"inside", "real"}) {
            INFO(name);
            CHECK(upload(daemon, name, name));
            CHECK(holds(daemon.root() / "file", name));
            CHECK(fs::is_symlink(daemon.root() / name));
        }
        for (const char* name : {"direct", "tree/file"}) {
            INFO(name);
            CHECK(upload(daemon, name, name));
            CHECK(holds(beside.path() / "tree" / "file", name));
        }
        CHECK(fs::is_symlink(daemon.root() / "direct"));
        for (const char* name : {"secret", "climbing"}) {
            INFO(name);
            CHECK(refusal(daemon, name, true) == 2);
            CHECK_THAT(daemon.line(name), EndsWith("target leads out of the directory"));
        }
        CHECK(holds(beside.path() / "secret", "secret"));
    }
    SECTION("no: not at all") {
        daemon_process daemon({"--symlinks", "no"});
        fill(daemon);
        for (const char* name : {"inside", "real", "tree/file"}) {
            CHECK(refusal(daemon, name) == 2);
            CHECK_THAT(daemon.line(name), EndsWith("on the way, and none is followed"));
        }
    }
}

TEST_CASE("a name may begin with the path of the directory", "[system][tftpd][access]") {
    daemon_process daemon({"--writable", "create", "--overwrite", "replace"});
    write_file(daemon.root() / "file", "content");
    const std::string own = daemon.root().string();
    CHECK(fetch(daemon.server(), own + "/file") == "content");
    CHECK(fetch(daemon.server(), own + "/file") == "content");
    CHECK(fetch(daemon.server(), own.substr(1) + "/./file") == "content");
    CHECK(refusal(daemon, own) == 2);
    CHECK(refusal(daemon, own + "/../file") == 2);
    CHECK(refusal(daemon, own + "/none") == 1);
    CHECK(upload(daemon, own + "/new", "new"));
    CHECK(holds(daemon.root() / "new", "new"));
    fs::create_directories(daemon.root() / own.substr(1));
    write_file(daemon.root() / own.substr(1) / "file", "longer");
    CHECK(fetch(daemon.server(), own + "/file") == "longer");
}

TEST_CASE("a name is tried as it is before backslashes separate", "[system][tftpd][access]") {
    daemon_process daemon;
    make_directory(daemon.root() / "boot");
    write_file(daemon.root() / "boot" / "bcd", "below");
    write_file(daemon.root() / "boot" / "other", "other");
    write_file(daemon.root() / "boot\\bcd", "literal");
    CHECK(fetch(daemon.server(), "boot\\bcd") == "literal");
    CHECK(fetch(daemon.server(), "\\boot\\bcd") == "below");
    CHECK(fetch(daemon.server(), "boot\\other") == "other");
    CHECK(fetch(daemon.server(), "boot/../boot\\other") == "other");
    CHECK(fetch(daemon.server(), "boot/../boot/other") == "other");
    CHECK(refusal(daemon, "boot/../../boot/other") == 2);
    CHECK(refusal(daemon, "boot\\..\\..\\x") == 2);
}

TEST_CASE("--serve says whose rights count, and the start says so", "[system][tftpd][access]") {
    const temp_dir other;
    const std::string make =
        "for d; do :; done; echo x > \"$d/private\"; chmod 0440 \"$d/private\"; ";
    const std::string own = ::geteuid() == 0 ? "chgrp nogroup \"$d/private\"; " : "";
    const std::vector<std::string> wrapper = {"sh", "-c", make + own + "exec \"$0\" \"$@\""};
    SECTION("by default the others' right") {
        daemon_process daemon({}, {"127.0.0.1:0"}, wrapper);
        CHECK(refusal(daemon, "private") == 2);
        CHECK_THAT(daemon.line("\"private\""), EndsWith("The file is not readable for others"));
        CHECK_THAT(
            daemon.line("--serve world"), EndsWith(": 1 at the top level not for others, refused")
        );
    }
    SECTION("or that of the user") {
        daemon_process daemon({"--serve", "readable"}, {"127.0.0.1:0"}, wrapper);
        CHECK(fetch(daemon.server(), "private") == "x\n");
        CHECK_THAT(
            daemon.line("--serve readable"),
            EndsWith(": 1 at the top level not for others, served; 0 not for this user, refused")
        );
        write_file(daemon.root() / "closed", "x");
        REQUIRE(::chmod((daemon.root() / "closed").c_str(), 0) == 0);
        CHECK(refusal(daemon, "closed") == 2);
        CHECK_THAT(
            daemon.line("\"closed\""), EndsWith("The user of this process may not read the file")
        );
    }
    SECTION("and nothing where it makes no difference") {
        daemon_process daemon;
        CHECK_THAT(daemon.process().errors(), !Contains("--serve"));
    }
}

TEST_CASE("each refusal has its own reason in the log", "[system][tftpd][access]") {
    daemon_process daemon({"--writable", "create", "--overwrite", "replace"});
    write_file(daemon.root() / "private", "x");
    REQUIRE(::chmod((daemon.root() / "private").c_str(), 0600) == 0);
    for (const char* name : {"closed", "full", "open"}) {
        make_directory(daemon.root() / name);
    }
    write_file(daemon.root() / "fixed", "x");
    REQUIRE(::chmod((daemon.root() / "fixed").c_str(), 0444) == 0);
    REQUIRE(::chmod((daemon.root() / "closed").c_str(), 0) == 0);
    REQUIRE(::chmod((daemon.root() / "full").c_str(), 0555) == 0);
    fs::create_symlink("../outside", daemon.root() / "leaving");
    fs::create_symlink("/etc/passwd", daemon.root() / "absolute");
    fs::create_symlink("loop", daemon.root() / "loop");

    struct reason {
        const char* name;
        bool writes;
        const char* text;
    };

    for (const reason& each :
         {reason{"private", false, "The file is not readable for others"},
          reason{"closed/file", false, "may not enter a directory on the way to the file"},
          reason{"closed/new", true, "may not enter a directory on the way to the file"},
          reason{
              "leaving",
              false,
              "A symbolic link with a relative target leads out of the directory"},
          reason{
              "leaving/new",
              true,
              "A symbolic link with a relative target leads out of the directory"},
          reason{
              "absolute",
              false,
              "A symbolic link with an absolute target leads out of the directory"},
          reason{"loop", false, "Too many symbolic links are on the way"},
          reason{"full/new", true, "The user of this process may not write to the directory"},
          reason{"fixed", true, "The user of this process may not write to the file"},
          reason{"open/../../x", false, "The file name is not allowed"}}) {
        INFO(each.name);
        CHECK(refusal(daemon, each.name, each.writes) == 2);
        const std::string verb = each.writes ? "write" : "read";
        CHECK_THAT(daemon.line(verb + " \"" + each.name + "\""), EndsWith(each.text));
    }
    REQUIRE(::chmod((daemon.root() / "closed").c_str(), 0700) == 0);
}

TEST_CASE("a directory that may be entered and not listed is served", "[system][tftpd][access]") {
    daemon_process daemon({"--writable", "create"}, {"127.0.0.1:0"}, with_mode("0311"));
    write_file(daemon.root() / "file", "content");
    CHECK(fetch(daemon.server(), "file") == "content");
    CHECK(refusal(daemon, "none") == 1);
    make_directory(daemon.root() / "in");
    CHECK(upload(daemon, "in/new", "new"));
    REQUIRE(::chmod(daemon.root().c_str(), 0777) == 0);
}

TEST_CASE("a file under a lease is waited for, and nobody else waits", "[system][tftpd][access]") {
    file_lease::prepare();
    daemon_process daemon({"--threads", "1"});
    write_file(daemon.root() / "file", "content");
    write_file(daemon.root() / "other", "other");
    file_lease lease(daemon.root() / "file");
    if (!lease.held()) {
        skip("no lease: this file system knows none");
    }
    SECTION("until its holder lets it go") {
        lease.release_when_asked();
        CHECK(fetch(daemon.server(), "file") == "content");
    }
    SECTION("for a second, if the holder does not") {
        udp_client client;
        client.send(daemon.server(), rrq("file"));
        const auto begun = std::chrono::steady_clock::now();
        CHECK(fetch(daemon.server(), "other") == "other");
        CHECK(std::chrono::steady_clock::now() - begun < 900ms);
        CHECK(error_code_of(next(client)) == 0);
        CHECK(std::chrono::steady_clock::now() - begun >= 900ms);
        CHECK_THAT(
            daemon.line("\"file\""),
            EndsWith("Another program holds the file and did not let it go in time")
        );
    }
}
