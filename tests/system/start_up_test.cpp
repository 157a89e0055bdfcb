#include "support/files.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace tftp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// Exit status 2, nothing on the standard output, one line on the standard error that says `what`.
void check_refusal(const run_result& result, const std::string& what) {
    CHECK(result.status == 2);
    CHECK(result.output.empty());
    CHECK_THAT(result.errors, StartsWith("tftpd: ") && Contains(what));
    CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
    CHECK(result.errors.back() == '\n');
}

void check_bad_value(const std::vector<std::string>& options, const std::string& what) {
    std::vector<std::string> arguments = options;
    arguments.insert(arguments.end(), {"--check", "/"});
    INFO(options.back());
    check_refusal(run_tftpd(arguments), what);
}

} // namespace

TEST_CASE("tftpd refuses to serve what it cannot, in one line", "[system][tftpd]") {
    const temp_dir dir;
    const std::string path = dir.path().string();
    const std::string listen = "127.0.0.1:0";

    SECTION("a directory that does not exist") {
        check_refusal(
            run_tftpd({"--listen", listen, path + "/missing"}),
            "cannot serve " + path + "/missing: No such file or directory"
        );
    }
    SECTION("a file") {
        write_file(dir.path() / "file", "x");
        check_refusal(
            run_tftpd({"--listen", listen, path + "/file"}),
            "cannot serve " + path + "/file: Not a directory"
        );
    }
    SECTION("no directory") {
        check_refusal(run_tftpd({"--listen", listen}), "which directory is to be served?");
    }
    SECTION("two directories") {
        check_refusal(run_tftpd({path, path}), "exactly one directory is served");
    }
    SECTION("a directory for links that does not exist, or is a file") {
        write_file(dir.path() / "file", "x");
        const auto run_with = [&](const std::string& target) {
            return run_tftpd(
                {"--listen", listen, "--symlinks", "follow", "--link-target", target, path}
            );
        };
        check_refusal(
            run_with(path + "/missing"),
            "cannot follow links to " + path + "/missing: No such file or directory"
        );
        check_refusal(
            run_with(path + "/file"), "cannot follow links to " + path + "/file: Not a directory"
        );
    }
    SECTION("a directory behind one that its user cannot enter") {
        const auto locked = dir.path() / "locked";
        std::filesystem::create_directories(locked / "root");
        std::filesystem::permissions(locked, std::filesystem::perms::none);
        const std::string root = (locked / "root").string();
        if (::geteuid() == 0) {
            check_refusal(
                run_tftpd({"--user", "nobody", "--listen", listen, root}),
                "user nobody cannot reach " + root + ": " + locked.string() +
                    " may not be entered: Permission denied"
            );
        } else {
            check_refusal(
                run_tftpd({"--listen", listen, root}),
                " may not enter " + locked.string() + ": Permission denied"
            );
            std::filesystem::permissions(locked, std::filesystem::perms::owner_all);
        }
    }
    SECTION("a directory that its user cannot enter") {
        const auto locked = dir.path() / "locked";
        std::filesystem::create_directory(locked);
        std::filesystem::permissions(locked, std::filesystem::perms::none);
        if (::geteuid() == 0) {
            check_refusal(
                run_tftpd({"--user", "nobody", "--listen", listen, locked.string()}),
                "user nobody cannot enter " + locked.string() + ": Permission denied"
            );
        } else {
            check_refusal(
                run_tftpd({"--listen", listen, locked.string()}), "cannot enter " + locked.string()
            );
        }
        check_refusal(run_tftpd({"--check", locked.string()}), "cannot enter " + locked.string());
    }
}

TEST_CASE("tftpd refuses an address that it cannot have", "[system][tftpd]") {
    const temp_dir dir;
    const std::string path = dir.path().string();

    SECTION("because another program has the port") {
        const udp_client other;
        const std::string taken = tftp::to_string(other.local());
        check_refusal(
            run_tftpd({"--listen", taken, path}),
            "cannot listen on " + taken +
                ": Address already in use (is another TFTP server running?)"
        );
    }
    SECTION("because another tftpd has the port") {
        const daemon_process first({"--threads", "2"});
        const std::string taken = tftp::to_string(first.server());
        check_refusal(
            run_tftpd({"--threads", "2", "--listen", taken, path}),
            "cannot listen on " + taken + ": Address already in use"
        );
    }
    SECTION("because the ports of transfers need root") {
        // In many containers everybody may have every port.
        unsigned first_free = 0;
        std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free;
        if (first_free < 1024) {
            skip("everybody may have ports from " + std::to_string(first_free) + " on here");
        }
        check_refusal(
            run_tftpd({"--listen", "127.0.0.1:0", "--port-range", "600:700", path}),
            "--port-range begins at 600, but ports below 1024 need root"
        );
    }
    SECTION("because no interface has it") {
        check_refusal(
            run_tftpd({"--listen", "192.0.2.77:0", path}),
            "cannot listen on 192.0.2.77:0: Cannot assign requested address (no interface of this "
            "machine has that address)"
        );
    }
}

TEST_CASE("tftpd refuses a command line that it does not understand", "[system][tftpd]") {
    SECTION("an unknown option") {
        check_bad_value({"--pooled"}, "unrecognised option '--pooled' (see tftpd --help)");
    }
    SECTION("an abbreviation, which would change its meaning with the next option") {
        check_bad_value({"--verb"}, "unrecognised option '--verb'");
    }
    SECTION("an option that spells a placeholder of the library that reads them") {
        check_bad_value({"--%canonical_option%"}, "unrecognised option '--%canonical_option%'");
    }
    SECTION("an option without its value") {
        check_refusal(run_tftpd({"/", "--listen"}), "'--listen'");
    }
    SECTION("an option given twice") {
        check_bad_value({"--grace", "1", "--grace", "2"}, "'--grace' cannot be specified more");
    }
    SECTION("an address") {
        const std::string how = "--listen takes ADDR or ADDR:PORT";
        for (const char* bad : {"localhost", "127.0.0.1:", "127.0.0.1:65536", "::1:x", ":69", ""}) {
            check_bad_value({"--listen", bad}, how);
        }
        for (const char* many : {"224.0.0.1:0", "255.255.255.255:0", "[ff02::1%lo]:0"}) {
            check_bad_value({"--listen", many}, "--listen takes no broadcast or multicast address");
        }
    }
    SECTION("a word") {
        check_bad_value({"--writable", "yes"}, "one of never, existing, create, not 'yes'");
        check_bad_value({"--overwrite", "keep"}, "one of deny, replace, keep=N, not 'keep'");
        check_bad_value({"--fsync", "maybe"}, "one of yes, no, not 'maybe'");
        check_bad_value({"--symlinks", "yes"}, "one of no, inside, chroot, follow, not 'yes'");
        check_bad_value({"--serve", "all"}, "one of world, readable, not 'all'");
        check_bad_value({"--rollover", "2"}, "one of 0, 1, none, not '2'");
        check_bad_value({"--timeout-policy", ""}, "one of honour, ceiling, decline, not ''");
    }
    SECTION("a number") {
        check_bad_value({"--quota-file", "0"}, "from 1 to 9223372036854775807, not '0'");
        check_bad_value({"--quota-file", "1k"}, "not '1k'");
        check_bad_value({"--quota-total", "0"}, "from 1 to 9223372036854775807, not '0'");
        check_bad_value({"--overwrite", "keep=0"}, "from 1 to 1000, not '0'");
        check_bad_value({"--overwrite", "keep="}, "from 1 to 1000, not ''");
        check_bad_value({"--overwrite", "keep=1001"}, "not '1001'");
        check_bad_value({"--blksize-max", "7"}, "takes auto or a number from 8 to 65464, not '7'");
        check_bad_value({"--blksize-max", "65465"}, "not '65465'");
        check_bad_value({"--windowsize-max", "0"}, "from 1 to 32767, not '0'");
        check_bad_value({"--windowsize-max", "32768"}, "not '32768'");
        check_bad_value({"--threads", "0"}, "from 1 to 1024, not '0'");
        check_bad_value({"--threads", "-1"}, "not '-1'");
        check_bad_value({"--max-transfers", "0"}, "from 1 to 1000000, not '0'");
        check_bad_value({"--max-half-open", "0"}, "from 1 to 1000000, not '0'");
        check_bad_value({"--give-up", "soon"}, "from 1 to 86400, not 'soon'");
        check_bad_value({"--give-up", "0"}, "from 1 to 86400, not '0'");
        check_bad_value({"--interval", "0"}, "seconds from 0.01 to 255, not '0'");
        check_bad_value({"--interval", "nan"}, "seconds from 0.01 to 255, not 'nan'");
        check_bad_value({"--grace", "1.5"}, "from 0 to 86400, not '1.5'");
        check_bad_value({"--grace", "86401"}, "not '86401'");
    }
    SECTION("how to take uploads, and that there are none") {
        check_bad_value(
            {"--writable", "never", "--overwrite", "deny"},
            "--overwrite needs --writable existing or --writable create"
        );
        check_bad_value({"--quota-file", "1"}, "--quota-file needs --writable existing or");
        check_bad_value({"--quota-total", "1"}, "--quota-total needs --writable existing or");
    }
    SECTION("a port range") {
        check_bad_value({"--port-range", "4000"}, "FIRST:LAST, not '4000'");
        check_bad_value({"--port-range", "0:9"}, "from 1 to 65535, not '0'");
        check_bad_value({"--port-range", "4000:65536"}, "not '65536'");
        check_bad_value({"--port-range", "4001:4000"}, "the first port is above the last");
    }
    SECTION("a user") {
        check_bad_value({"--user", "no-such-user"}, "there is no user 'no-such-user'");
    }
}

TEST_CASE("tftpd takes every documented value", "[system][tftpd]") {
    const temp_dir dir;
    const std::vector<std::vector<std::string>> lines = {
        {"--listen", "127.0.0.1", "--listen", "[::1]:6969", "--listen", "::1"},
        {"--writable", "never", "--fsync", "no", "--symlinks", "no"},
        {"--writable", "existing", "--overwrite", "deny", "--upload-dir", dir.path().string()},
        {"--writable", "existing", "--overwrite", "replace", "--fsync", "yes"},
        {"--writable=create", "--quota-file=9223372036854775807", "--symlinks=inside"},
        {"--writable=create", "--quota-total=9223372036854775807", "--overwrite=keep=1000"},
        {"--blksize-max", "auto", "--windowsize-max", "32767", "--rollover", "0"},
        {"--blksize-max", "8", "--windowsize-max", "1", "--rollover", "1"},
        {"--blksize-max", "65464", "--rollover", "none", "--timeout-policy", "honour"},
        {"--timeout-policy", "ceiling", "--port-range", "1024:65535", "--threads", "1024"},
        {"--timeout-policy", "decline", "--port-range", "7000:7000", "--max-transfers", "1"},
        {"--give-up", "1", "--grace", "0", "--verbose"},
    };
    for (std::vector<std::string> arguments : lines) {
        INFO(arguments.front());
        arguments.insert(arguments.end(), {"--check", dir.path().string()});
        const run_result result = run_tftpd(arguments);
        CHECK(result.status == 0);
        CHECK(result.output == "tftpd: configuration OK\n");
        CHECK(result.errors.empty());
    }
}

TEST_CASE("tftpd --version and --help need no directory", "[system][tftpd]") {
    const run_result version = run_tftpd({"--version"});
    CHECK(version.status == 0);
    CHECK_THAT(version.output, Catch::Matchers::Matches("tftpd [0-9]+\\.[0-9]+\\.[0-9]+\n"));
    CHECK(version.errors.empty());

    const run_result help = run_tftpd({"--help"});
    CHECK(help.status == 0);
    CHECK_THAT(help.output, StartsWith("Usage: tftpd [OPTIONS] DIRECTORY\n"));
    CHECK(help.errors.empty());
    for (const char* option :
         {"--listen",         "--user",       "--writable",      "--overwrite",
          "--quota-file",     "--fsync",      "--symlinks",      "--blksize-max",
          "--windowsize-max", "--rollover",   "--port-range",    "--threads",
          "--give-up",        "--interval",   "--max-transfers", "--timeout-policy",
          "--grace ",         "--check",      "--verbose",       "--version",
          "--help",           "--upload-dir", "--quota-total",   "--max-half-open"}) {
        CHECK_THAT(help.output, Contains(option));
    }
}

TEST_CASE("tftpd keeps its exit status when nothing can be written", "[system][tftpd]") {
    const temp_dir dir;
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);

    SECTION("an error on a full standard error") {
        command what = command_of({tftpd_program(), "--nope"});
        what.stderr_fd = full;
        CHECK(run(what, daemon_limit).status == 2);
    }
    SECTION("an answer on a full standard output") {
        const std::vector<std::vector<std::string>> lines = {
            {"--help"}, {"--version"}, {"--check", dir.path().string()}};
        for (const auto& arguments : lines) {
            INFO(arguments.front());
            command what = command_of({tftpd_program()});
            what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
            what.stdout_fd = full;
            const run_result result = run(what, daemon_limit);
            CHECK(result.status == 1);
            CHECK(result.errors == "tftpd: standard output: No space left on device\n");
        }
    }
    ::close(full);
}

TEST_CASE("tftpd says which port it chose, one for all addresses", "[system][tftpd]") {
    daemon_process two({}, {"127.0.0.1:0", "127.0.0.2:0"});
    REQUIRE(two.endpoints().size() == 2);
    CHECK(two.endpoints()[0].port != 0);
    CHECK(two.endpoints()[1] == tftp::endpoint::ipv4(127, 0, 0, 2, two.endpoints()[0].port));
    write_file(two.root() / "file", "content");
    for (const tftp::endpoint& each : two.endpoints()) {
        CHECK(fetch(each, "file") == "content");
    }
}

TEST_CASE("tftpd serves on IPv6", "[system][tftpd]") {
    need_ipv6();
    daemon_process both({}, {"[::1]:0", "127.0.0.1:0"});
    write_file(both.root() / "file", "content");
    REQUIRE(both.endpoints().size() == 2);
    CHECK(both.endpoints()[0].port == both.endpoints()[1].port);
    CHECK(fetch(both.endpoints()[1], "file") == "content");
    udp_client client(both.server().with_port(0));
    CHECK(fetch_rest(client, ask(client, both.server(), rrq("file"))) == "content");
}

TEST_CASE("tftpd uses all descriptors that the system allows", "[system][tftpd]") {
    daemon_process daemon({"--threads", "1"}, {"127.0.0.1:0"}, {"prlimit", "--nofile=64:1024"});
    write_file(daemon.root() / "file", "content");
    constexpr std::size_t transfers = 200;
    std::vector<std::unique_ptr<udp_client>> clients;
    for (std::size_t i = 0; i < transfers; ++i) {
        clients.push_back(std::make_unique<udp_client>());
        REQUIRE(
            opcode_of(ask(*clients.back(), daemon.server(), rrq("file", {{"tsize", "0"}}))) == 6
        );
    }
    CHECK(daemon.serves());
}

namespace {

/// Starts tftpd by `wrapper`. Either it serves, downloads and uploads, or it ends with status 2 and
/// one line on the standard error before it says that it serves. Returns whether it serves.
bool check_serves_or_refuses(const std::vector<std::string>& wrapper) {
    const temp_dir root;
    write_file(root.path() / "file", "content");
    command what = command_of(wrapper);
    what.argv.push_back(tftpd_program());
    // LeakSanitizer has a thread of its own.
    what.environment = {"ASAN_OPTIONS=detect_leaks=0"};
    for (const auto& each :
         {daemon_options(),
          {"--threads", "2", "--writable", "create", "--listen", "127.0.0.1:0"},
          {root.path().string()}}) {
        what.argv.insert(what.argv.end(), each.begin(), each.end());
    }
    child_process daemon(what);
    const auto line = daemon.wait_for_line(" on 127.0.0.1:", daemon_limit);
    if (line && !Catch::startsWith(*line, "tftpd: ")) {
        const auto server = tftp::parse_endpoint(line->substr(line->rfind(' ') + 1), 0).value();
        // More than one: an upload keeps its descriptors for a while.
        for (int i = 0; i < 2; ++i) {
            CHECK(fetch(server, "file") == "content");
            udp_client client;
            const arrived ready = ask(client, server, wrq("new" + std::to_string(i)));
            CHECK(store_rest(client, ready.from, "content").octets == ack(1));
        }
        return true;
    }
    CHECK(daemon.wait(daemon_limit) == 2);
    const std::string said = daemon.errors();
    CHECK_THAT(said, StartsWith("tftpd: "));
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
    return false;
}

} // namespace

// Sanitizers need descriptors of their own, and take what they cannot look at for wrong.
#ifndef TFTP_TEST_INSTRUMENTED
TEST_CASE("tftpd serves with few descriptors, or says so before", "[system][tftpd]") {
    bool served = false;
    for (const int limit : {8, 12, 16, 20, 24, 28, 30, 32, 33, 34, 35, 36, 37, 38, 40, 48}) {
        INFO(limit << " descriptors");
        const std::string both = std::to_string(limit) + ':' + std::to_string(limit);
        const bool serves = check_serves_or_refuses({"prlimit", "--nofile=" + both});
        CHECK(serves >= served);
        served = serves;
    }
    CHECK(served);
    check_refusal(
        run(command_of(
                {"prlimit",
                 "--nofile=22:22",
                 tftpd_program(),
                 "--threads=2",
                 "--listen=127.0.0.1:0",
                 "/"}
            ),
            daemon_limit),
        "cannot serve with 22 open files: raise the limit (ulimit -H -n, LimitNOFILE=) to "
    );
}
#endif

TEST_CASE("tftpd starts all threads that it needs, or does not start", "[system][tftpd]") {
    if (::geteuid() != 0) {
        skip("needs root, to have a user whose threads nobody else's are counted with");
    }
    bool served = false;
    for (int limit = 1; limit <= 8; ++limit) {
        INFO(limit << " threads");
        const std::string both = std::to_string(limit) + ':' + std::to_string(limit);
        const bool serves = check_serves_or_refuses(
            {"prlimit",
             "--nproc=" + both,
             "setpriv",
             "--reuid=2147400069",
             "--regid=2147400069",
             "--clear-groups"}
        );
        CHECK(serves >= served);
        served = serves;
    }
    CHECK(served);
}
