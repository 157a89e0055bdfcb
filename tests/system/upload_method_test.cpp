#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/fetch.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/// How an upload gets to a file that a rename cannot replace, or would not keep as it is.
using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

constexpr unsigned nobody = 65534;

std::optional<std::uint16_t>
refusal(const daemon_process& daemon, const char* name, const option_pairs& options = {}) {
    udp_client client;
    return error_code_of(ask(client, daemon.server(), wrq(name, options)));
}

/// Uploads in lockstep; returns the ERROR that answers the last block, if one does.
std::optional<std::uint16_t>
upload(const daemon_process& daemon, const char* name, std::string_view content) {
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq(name));
    REQUIRE(ready.octets == ack(0));
    return error_code_of(store_rest(client, ready.from, content));
}

/// Sends one block of many and breaks off.
void break_off(const daemon_process& daemon, const char* name) {
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq(name));
    REQUIRE(ready.octets == ack(0));
    REQUIRE(ask(client, ready.from, data(1)).octets == ack(1));
    client.send(ready.from, error_packet(0, "no more"));
}

struct ::stat about(const fs::path& file) {
    struct ::stat found = {};
    REQUIRE(::stat(file.c_str(), &found) == 0);
    return found;
}

std::string attribute(const fs::path& file, const char* name) {
    std::string value(1000, '\0');
    const ::ssize_t size = ::getxattr(file.c_str(), name, value.data(), value.size());
    value.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return value;
}

/// The owner rw-, user 34 r--, the group ---, the mask rw-, the others ---; see acl(5).
const std::string access_list(
    "\2\0\0\0"
    "\1\0\6\0\377\377\377\377"
    "\2\0\4\0\42\0\0\0"
    "\4\0\0\0\377\377\377\377"
    "\20\0\6\0\377\377\377\377"
    "\40\0\0\0\377\377\377\377",
    44
);

/// A directory that the daemon may not write to, with a file that it may.
void make_closed(const fs::path& directory) {
    fs::create_directory(directory);
    write_file(directory / "file", "old");
    fs::permissions(directory, fs::perms(0755));
}

std::size_t count(const fs::path& directory) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
}

} // namespace

TEST_CASE("a file that is a mount point takes uploads", "[system][tftpd][uploads][root]") {
    need_root();
    need(try_own_mounts);
    // The daemon, which is started here, sees them, and nobody else.
    enter_own_mounts();
    temp_dir host;
    write_file(host.path() / "file", "old");
    const auto mount_over = [&](const daemon_process& daemon, unsigned long flags) {
        const fs::path where = daemon.root() / "file";
        write_file(where, "below");
        REQUIRE(
            ::mount((host.path() / "file").c_str(), where.c_str(), nullptr, MS_BIND, nullptr) == 0
        );
        if (flags != 0) {
            constexpr unsigned long again = MS_BIND | MS_REMOUNT;
            REQUIRE(::mount(nullptr, where.c_str(), nullptr, again | flags, nullptr) == 0);
        }
    };
    const auto unmount = [](const daemon_process& daemon) {
        // The daemon keeps a file open for some seconds after it was read.
        REQUIRE(::umount2((daemon.root() / "file").c_str(), MNT_DETACH) == 0);
    };
    SECTION("whole or not at all") {
        daemon_process daemon({"--writable", "existing"});
        mount_over(daemon, 0);
        break_off(daemon, "file");
        CHECK_THAT(daemon.line("write \"file\""), Contains("client: error"));
        CHECK(holds(host.path() / "file", "old"));
        const std::string content = make_content(10'300, 1);
        CHECK(!upload(daemon, "file", content));
        CHECK(holds(host.path() / "file", content));
        CHECK(fetch(daemon.server(), "file") == content);
        unmount(daemon);
        CHECK(count(daemon.root()) == 1);
        CHECK(holds(daemon.root() / "file", "below"));
    }
    SECTION("or refuses them at once, when it is read-only") {
        daemon_process daemon({"--writable", "existing"});
        mount_over(daemon, MS_RDONLY);
        CHECK(refusal(daemon, "file") == 2);
        unmount(daemon);
    }
    SECTION("or when only a rename will do") {
        daemon_process daemon({"--writable", "existing", "--upload-method", "rename"});
        mount_over(daemon, 0);
        CHECK(refusal(daemon, "file") == 2);
        unmount(daemon);
    }
}

TEST_CASE(
    "a file in a directory that may not be written takes uploads", "[system][tftpd][uploads]"
) {
    need_root();
    temp_dir spool;
    const std::string at = spool.path().string();
    SECTION("by the spool directory, where nothing stays") {
        for (const char* method : {"auto", "in-place"}) {
            daemon_process daemon(
                {"--writable",
                 "create",
                 "--overwrite",
                 "replace",
                 "--spool-dir",
                 at,
                 "--upload-method",
                 method}
            );
            make_closed(daemon.root() / "closed");
            const struct ::stat before = about(daemon.root() / "closed" / "file");
            break_off(daemon, "closed/file");
            CHECK_THAT(daemon.line("write \"closed/file\""), Contains("client: error"));
            CHECK(holds(daemon.root() / "closed" / "file", "old"));
            for (const std::size_t size : {100'000U, 0U, 512U}) {
                const std::string content = make_content(size, size);
                CHECK(!upload(daemon, "closed/file", content));
                CHECK(holds(daemon.root() / "closed" / "file", content));
            }
            CHECK(about(daemon.root() / "closed" / "file").st_ino == before.st_ino);
            CHECK(about(daemon.root() / "closed" / "file").st_uid == before.st_uid);
            CHECK(count(spool.path()) == 0);
            CHECK(refusal(daemon, "closed/new") == 2);
        }
    }
    SECTION("by the temporary directory of the system") {
        daemon_process daemon(
            {"--writable", "existing"}, {"127.0.0.1:0"}, {"/usr/bin/env", "TMPDIR=" + at}
        );
        make_closed(daemon.root() / "closed");
        CHECK(!upload(daemon, "closed/file", "new"));
        CHECK(holds(daemon.root() / "closed" / "file", "new"));
    }
    SECTION("or refuses them at once, where there is none, and says so at the start") {
        daemon_process daemon(
            {"--writable", "existing"}, {"127.0.0.1:0"}, {"/usr/bin/env", "TMPDIR=/none"}
        );
        make_closed(daemon.root() / "closed");
        CHECK(refusal(daemon, "closed/file") == 2);
        CHECK_THAT(daemon.process().errors(), Contains("cannot use the temporary directory"));
    }
    SECTION("or when only a rename will do, or versions are to be kept") {
        for (const std::vector<std::string>& how :
             {std::vector<std::string>{"--upload-method", "rename"}, {"--overwrite", "keep=1"}}) {
            std::vector<std::string> options{"--writable", "existing"};
            options.insert(options.end(), how.begin(), how.end());
            daemon_process daemon(options);
            make_closed(daemon.root() / "closed");
            CHECK(refusal(daemon, "closed/file") == 2);
        }
    }
    SECTION("also as --upload-dir") {
        temp_dir uploads;
        write_file(uploads.path() / "file", "old");
        fs::permissions(uploads.path(), fs::perms(0755));
        daemon_process daemon(
            {"--writable", "existing", "--upload-dir", uploads.path().string(), "--spool-dir", at}
        );
        CHECK(!upload(daemon, "file", "new"));
        CHECK(holds(uploads.path() / "file", "new"));
    }
}

TEST_CASE("a full spool directory is ERROR 3 and changes nothing", "[system][tftpd][uploads]") {
    need_root();
    need(try_own_mounts);
    enter_own_mounts();
    temp_dir spool;
    REQUIRE(::mount("none", spool.path().c_str(), "tmpfs", 0, "size=64k,mode=1777") == 0);
    {
        daemon_process daemon({"--writable", "existing", "--spool-dir", spool.path().string()});
        make_closed(daemon.root() / "closed");
        CHECK(refusal(daemon, "closed/file", {{"tsize", "100000"}}) == 3);
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("closed/file"));
        arrived answer = ask(client, ready.from, data(1));
        for (std::uint16_t block = 2; block < 200 && !error_code_of(answer); ++block) {
            answer = ask(client, ready.from, data(block));
        }
        CHECK(error_code_of(answer) == 3);
        CHECK(holds(daemon.root() / "closed" / "file", "old"));
        CHECK(!upload(daemon, "closed/file", std::string(50'000, 'x')));
    }
    REQUIRE(::umount2(spool.path().c_str(), MNT_DETACH) == 0);
}

TEST_CASE("--spool-dir is checked before the first request", "[system][tftpd][uploads]") {
    temp_dir dir;
    temp_dir spool;
    const auto start = [&](std::vector<std::string> options) {
        options.insert(options.end(), {"--check", dir.path().string()});
        return run_tftpd(options);
    };
    const std::vector<std::string> good{"--writable", "create", "--spool-dir", spool.path()};
    CHECK(start(good).status == 0);
    const auto missing = start({"--writable", "create", "--spool-dir", "/none"});
    CHECK(missing.status == 2);
    CHECK(missing.errors == "tftpd: cannot use /none: No such file or directory\n");
    if (::geteuid() == 0) {
        REQUIRE(::chmod(spool.path().c_str(), 0755) == 0);
        const auto closed = start(good);
        CHECK(closed.status == 2);
        CHECK_THAT(closed.errors, Contains("user nobody cannot write to"));
    }
}

TEST_CASE("a link that stays inside takes uploads, and stays", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--overwrite", "replace"});
    fs::create_directory(daemon.root() / "sub");
    write_file(daemon.root() / "sub" / "file", "old");
    fs::create_symlink("sub/file", daemon.root() / "link");
    fs::create_symlink("../../etc/passwd", daemon.root() / "out");
    fs::create_symlink("none", daemon.root() / "dangling");
    CHECK(!upload(daemon, "link", "new"));
    CHECK(holds(daemon.root() / "sub" / "file", "new"));
    CHECK(fs::is_symlink(daemon.root() / "link"));
    CHECK(refusal(daemon, "out") == 2);
    CHECK(refusal(daemon, "dangling") == 1);
    daemon_process strict({"--writable", "existing", "--symlinks", "no"});
    write_file(strict.root() / "file", "old");
    fs::create_symlink("file", strict.root() / "link");
    CHECK(refusal(strict, "link") == 2);
}

TEST_CASE("a replaced file keeps what it is", "[system][tftpd][uploads]") {
    need_root();
    for (const char* method : {"auto", "in-place", "rename"}) {
        INFO(method);
        daemon_process daemon({"--writable", "existing", "--upload-method", method});
        const fs::path file = daemon.root() / "router.cfg";
        write_file(file, "old");
        REQUIRE(::chown(file.c_str(), nobody, 100) == 0);
        REQUIRE(::chmod(file.c_str(), 0600) == 0);
        const auto set = [&](const char* name, const std::string& value) {
            return ::setxattr(file.c_str(), name, value.data(), value.size(), 0) == 0;
        };
        if (!set("system.posix_acl_access", access_list)) {
            skip("no ACLs on this file system");
        }
        REQUIRE(set("user.origin", "switch 7"));
        const struct ::stat before = about(file);
        CHECK(!upload(daemon, "router.cfg", "new"));
        const struct ::stat after = about(file);
        CHECK(holds(file, "new"));
        CHECK(after.st_uid == before.st_uid);
        CHECK(attribute(file, "user.origin") == "switch 7");
        if (method == std::string_view("rename")) {
            // The group cannot be had there: it is told by nothing that it may read the file.
            CHECK((after.st_mode & S_IRWXG) == 0);
            continue;
        }
        CHECK(after.st_gid == before.st_gid);
        CHECK(after.st_mode == before.st_mode);
        CHECK(attribute(file, "system.posix_acl_access") == access_list);
    }
}

TEST_CASE("new files have what --umask and the directory say", "[system][tftpd][uploads]") {
    const auto mode_of = [](const fs::path& file) { return about(file).st_mode & 07777; };
    for (const auto& [mask, mode] : std::vector<std::pair<const char*, ::mode_t>>{
             {"077", 0600}, {"0", 0666}, {"0027", 0640}}) {
        INFO(mask);
        daemon_process daemon({"--writable", "create", "--umask", mask});
        CHECK(!upload(daemon, "file", "content"));
        CHECK(mode_of(daemon.root() / "file") == mode);
    }
    daemon_process daemon({"--writable", "create"});
    fs::create_directory(daemon.root() / "sub");
    fs::permissions(daemon.root() / "sub", fs::perms(02777));
    if (::geteuid() == 0) {
        REQUIRE(::chown((daemon.root() / "sub").c_str(), 0, 33) == 0);
        fs::permissions(daemon.root() / "sub", fs::perms(02777));
        CHECK(!upload(daemon, "sub/file", "content"));
        CHECK(about(daemon.root() / "sub" / "file").st_gid == 33);
        CHECK(mode_of(daemon.root() / "sub" / "file") == 0644);
    }
    if (::setxattr(
            (daemon.root() / "sub").c_str(),
            "system.posix_acl_default",
            access_list.data(),
            access_list.size(),
            0
        ) == 0) {
        CHECK(!upload(daemon, "sub/other", "content"));
        CHECK(mode_of(daemon.root() / "sub" / "other") == 0660);
        CHECK(attribute(daemon.root() / "sub" / "other", "system.posix_acl_access") == access_list);
    }
}

TEST_CASE("text is converted on its way into a file in place", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "existing", "--upload-method", "in-place"});
    write_file(daemon.root() / "file", "a longer text that was there");
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq("file", {}, "netascii"));
    REQUIRE(ready.octets == ack(0));
    CHECK(store_rest(client, ready.from, "one\r\ntwo\r\n").octets == ack(1));
    CHECK(holds(daemon.root() / "file", "one\ntwo\n"));
}

TEST_CASE("a reader never gets parts of two uploads", "[system][tftpd][uploads]") {
    // In lockstep, in windows from memory of the server, and from where the file stands.
    const auto how = GENERATE(
        way{512, 1}, way{512, 16}, way{1428, 16}, way{16'384, 1}, way{1428, 16, "netascii"}
    );
    const bool in_place = GENERATE(true, false);
    INFO(how << (in_place ? ", in place" : ", by a rename"));
    daemon_process daemon(
        {"--writable", "existing", "--upload-method", in_place ? "in-place" : "rename"}
    );
    // No line ends in them: what netascii makes of the old one shows by its beginning.
    const std::string old(400'000, 'o');
    const std::string other(GENERATE(300'000U, 400'000U, 500'000U), 'n');
    write_file(daemon.root() / "file", old);
    const disturbance in_the_middle{20'000, [&] { CHECK(!upload(daemon, "file", other)); }};
    const fetched got = fetch_by(daemon.server(), "file", how, in_the_middle);
    if (in_place) {
        CHECK(got.error == 0);
        CHECK(old.starts_with(got.content));
        CHECK(got.content.size() >= 20'000);
        CHECK(got.content.size() < old.size());
        CHECK_THAT(
            daemon.line("read \"file\""),
            EndsWith("The file changed while it was sent") ||
                EndsWith("The file became shorter while it was sent")
        );
    } else {
        CHECK(!got.error);
        CHECK((got.content == old));
    }
    CHECK((fetch(daemon.server(), "file") == other));
}
