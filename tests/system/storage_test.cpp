#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

std::optional<std::uint16_t>
refusal(const tftp::endpoint& server, const std::string& name, const option_pairs& options = {}) {
    udp_client client;
    return error_code_of(ask(client, server, wrq(name, options)));
}

std::optional<std::uint16_t> read_refusal(const tftp::endpoint& server, const std::string& name) {
    udp_client client;
    return error_code_of(ask(client, server, rrq(name)));
}

/// Uploads in lockstep; returns the ERROR that answers the last block, if one does.
std::optional<std::uint16_t>
upload(const tftp::endpoint& server, const std::string& name, std::string_view content) {
    udp_client client;
    const arrived ready = ask(client, server, wrq(name));
    REQUIRE(ready.octets == ack(0));
    return error_code_of(store_rest(client, ready.from, content));
}

using tree = std::map<std::string, std::string>;

tree contents(const fs::path& directory) {
    tree all;
    for (const auto& each : fs::directory_iterator(directory)) {
        all[each.path().filename().string()] = read_file(each.path());
    }
    return all;
}

std::vector<std::string> with_uploads_to(const temp_dir& dir, std::vector<std::string> options) {
    options.insert(options.end(), {"--upload-dir", dir.path().string()});
    return options;
}

} // namespace

TEST_CASE("--overwrite keep=N keeps numbered versions", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--overwrite", "keep=2"});
    SECTION("of a file that is uploaded again and again") {
        for (const char* content : {"one", "two", "three", "four"}) {
            CHECK(!upload(daemon.server(), "config.txt", content));
            CHECK(fetch(daemon.server(), "config.txt") == content);
        }
        CHECK(
            contents(daemon.root()) ==
            tree{{"config.txt", "four"}, {"config.txt.~2~", "two"}, {"config.txt.~3~", "three"}}
        );
        CHECK(fetch(daemon.server(), "config.txt.~3~") == "three");
    }
    SECTION("and takes no upload to one") {
        CHECK(refusal(daemon.server(), "config.txt.~1~") == 2);
        CHECK(refusal(daemon.server(), std::string(250, 'n')) == 2);
    }
    SECTION("and serves a version only where it would serve the file") {
        write_file(daemon.root() / "secret", "old");
        REQUIRE(::chmod((daemon.root() / "secret").c_str(), 0660) == 0);
        if (::geteuid() == 0) {
            REQUIRE(::chown((daemon.root() / "secret").c_str(), 65534, 65534) == 0);
        }
        CHECK(!upload(daemon.server(), "secret", "new"));
        CHECK(read_refusal(daemon.server(), "secret") == 2);
        CHECK(read_refusal(daemon.server(), "secret.~1~") == 2);
        CHECK(holds(daemon.root() / "secret.~1~", "old"));
    }
    SECTION("and none of an upload that breaks off") {
        CHECK(!upload(daemon.server(), "file", "old"));
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("file"));
        REQUIRE(ask(client, ready.from, data(1)).octets == ack(1));
        client.send(ready.from, error_packet(0, "no more"));
        CHECK_THAT(daemon.line("client: error 0"), Contains("write \"file\""));
        CHECK(contents(daemon.root()) == tree{{"file", "old"}});
    }
}

TEST_CASE("--quota-total bounds what all uploads store", "[system][tftpd][uploads]") {
    temp_dir dir;
    write_file(dir.path() / "old", std::string(400, 'x'));
    // One thread: what an upload gives back is free when the next one is heard.
    daemon_process daemon(with_uploads_to(
        dir, {"--threads=1", "--writable=create", "--overwrite=replace", "--quota-total=1000"}
    ));
    SECTION("by the announced size, before any DATA") {
        CHECK(refusal(daemon.server(), "file", {{"tsize", "601"}}) == 3);
        CHECK_THAT(daemon.line("write \"file\""), EndsWith("Disk quota exceeded"));
        udp_client client;
        CHECK(
            ask(client, daemon.server(), wrq("file", {{"tsize", "600"}})).octets ==
            oack({{"tsize", "600"}})
        );
    }
    SECTION("by what really comes") {
        CHECK(upload(daemon.server(), "file", std::string(601, 'x')) == 3);
        CHECK(contents(dir.path()).size() == 1);
        CHECK(!upload(daemon.server(), "file", std::string(600, 'x')));
    }
    SECTION("of several clients together") {
        udp_client first;
        udp_client second;
        const option_pairs tsize{{"tsize", "600"}};
        const arrived one = ask(first, daemon.server(), wrq("first", tsize));
        const arrived two = ask(second, daemon.server(), wrq("second", tsize));
        CHECK(ask(first, one.from, data(1)).octets == ack(1));
        // The first holds the room for all that it announced.
        CHECK(error_code_of(ask(second, two.from, data(1))) == 3);
        CHECK(ask(first, one.from, data(2, 88)).octets == ack(2));
        CHECK(contents(dir.path()).size() == 2);
    }
    SECTION("and gives back the room of uploads that break off and of replaced files") {
        for (int i = 0; i < 3; ++i) {
            udp_client client;
            const arrived ready = ask(client, daemon.server(), wrq("file", {{"tsize", "600"}}));
            REQUIRE(ask(client, ready.from, data(1)).octets == ack(1));
            // The answer to a DATA that is too large says that the transfer has ended.
            CHECK(error_code_of(ask(client, ready.from, data(2, 600))) == 4);
        }
        for (const std::size_t size : {300U, 200U, 300U, 0U, 400U}) {
            INFO(size);
            CHECK(!upload(daemon.server(), "old", std::string(size, 'y')));
        }
        CHECK(!upload(daemon.server(), "file", std::string(600, 'x')));
        CHECK(upload(daemon.server(), "more", "x") == 3);
    }
}

TEST_CASE("requests alone use up no quota", "[system][tftpd][uploads]") {
    daemon_process daemon({"--writable", "create", "--quota-total", "1000"});
    std::vector<std::unique_ptr<udp_client>> spoofed;
    for (int i = 0; i < 200; ++i) {
        spoofed.push_back(std::make_unique<udp_client>());
        const std::string name = "file" + std::to_string(i);
        CHECK(
            ask(*spoofed.back(), daemon.server(), wrq(name, {{"tsize", "1000"}})).octets ==
            oack({{"tsize", "1000"}})
        );
    }
    CHECK(!upload(daemon.server(), "good", std::string(1000, 'x')));
}

TEST_CASE("--upload-dir takes uploads, and downloads go on", "[system][tftpd][uploads]") {
    temp_dir dir;
    daemon_process daemon(with_uploads_to(dir, {"--writable", "create"}));
    write_file(daemon.root() / "boot", "image");
    CHECK(!upload(daemon.server(), "boot", "upload"));
    CHECK(holds(dir.path() / "boot", "upload"));
    CHECK(fetch(daemon.server(), "boot") == "image");

    CHECK(!upload(daemon.server(), "dump", "secret"));
    CHECK(read_refusal(daemon.server(), "dump") == 1);
    CHECK(refusal(daemon.server(), "dump") == 6);
    CHECK(refusal(daemon.server(), "../boot") == 2);
    fs::create_directory_symlink(daemon.root(), dir.path() / "out");
    CHECK(refusal(daemon.server(), "out/file") == 2);
    CHECK(contents(daemon.root()).size() == 1);
}

TEST_CASE("uploads are served from an upload directory within", "[system][tftpd][uploads]") {
    temp_dir dir;
    fs::create_directory(dir.path() / "in");
    REQUIRE(::chmod((dir.path() / "in").c_str(), 0777) == 0);
    command what = command_of({tftpd_program()});
    for (const auto& each :
         {daemon_options(),
          {"--writable",
           "create",
           "--upload-dir",
           (dir.path() / "in").string(),
           "--listen",
           "127.0.0.1:0",
           dir.path().string()}}) {
        what.argv.insert(what.argv.end(), each.begin(), each.end());
    }
    child_process process(what);
    const auto line = process.wait_for_line("serving", daemon_limit);
    REQUIRE(line);
    const auto listening = tftp::endpoint::ipv4(
        127, 0, 0, 1, static_cast<std::uint16_t>(std::stoi(line->substr(line->rfind(':') + 1)))
    );
    CHECK(!upload(listening, "file", "content"));
    CHECK(fetch(listening, "in/file") == "content");
    CHECK(read_refusal(listening, "file") == 1);
}

TEST_CASE("--upload-dir is checked before the first request", "[system][tftpd][uploads]") {
    temp_dir dir;
    temp_dir uploads;
    const auto start = [&](const std::vector<std::string>& options) {
        std::vector<std::string> arguments = options;
        arguments.insert(arguments.end(), {"--check", dir.path().string()});
        return run_tftpd(arguments);
    };
    SECTION("good") {
        CHECK(start(with_uploads_to(uploads, {"--writable", "existing"})).status == 0);
        CHECK(
            start(with_uploads_to(uploads, {"--writable=create", "--overwrite=keep=1"})).status == 0
        );
    }
    SECTION("missing") {
        const auto got = start({"--writable", "create", "--upload-dir", "/none"});
        CHECK(got.status == 2);
        CHECK(got.errors == "tftpd: cannot serve /none: No such file or directory\n");
    }
    SECTION("not asked for") {
        for (const std::vector<std::string>& options :
             {std::vector<std::string>{}, {"--writable", "never"}}) {
            const auto got = start(with_uploads_to(uploads, options));
            CHECK(got.status == 2);
            CHECK_THAT(got.errors, Contains("--upload-dir needs --writable"));
        }
    }
    SECTION("not to be written, or not to be listed") {
        const auto check = [&](::mode_t mode, const char* overwrite, const char* words) {
            REQUIRE(::chmod(uploads.path().c_str(), mode) == 0);
            const auto got =
                start(with_uploads_to(uploads, {"--writable", "create", "--overwrite", overwrite}));
            CHECK_THAT(got.errors, Contains(words));
            CHECK(got.status == (*words == '\0' ? 0 : 2));
        };
        check(0755, "deny", ::geteuid() == 0 ? "user nobody cannot write to" : "");
        check(0733, "deny", "");
        check(0733, "keep=1", ::geteuid() == 0 ? "cannot list" : "");
    }
}
