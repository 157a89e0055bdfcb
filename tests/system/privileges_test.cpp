#include "support/files.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "system/daemon.hpp"
#include "system/proc.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace tftp::test;
using Catch::Matchers::Contains;

namespace {

void check_powerless(proc_status status) {
    CHECK(status["NoNewPrivs"] == "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
        INFO(set);
        CHECK(status[set] == "0000000000000000");
    }
}

std::vector<std::string> as_nobody() {
    return {"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"};
}

} // namespace

TEST_CASE("tftpd gives up all that root may do", "[system][tftpd][root]") {
    need_root();
    daemon_process daemon({"--user", "nobody", "--writable", "create", "--threads", "2"});
    // Uploads use the threads for blocking work too.
    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq("file"));
    CHECK(store_rest(client, ready.from, "content").octets == ack(1));
    const auto threads = threads_of(daemon.process().id());
    CHECK(threads.size() >= 3);
    for (proc_status status : threads) {
        CHECK(status["Uid"] == "65534\t65534\t65534\t65534");
        CHECK(status["Gid"] == "65534\t65534\t65534\t65534");
        CHECK_THAT(status["Groups"], Catch::Matchers::Matches("65534 ?"));
        check_powerless(status);
        // Nor can it be had back by executing something, as long as it may be given up here.
        CHECK(status["CapBnd"] == "0000000000000000");
    }
}

TEST_CASE("tftpd becomes nobody where there is no user tftp", "[system][tftpd][root]") {
    need_root();
    daemon_process daemon;
    const auto threads = threads_of(daemon.process().id());
    CHECK(!Catch::contains(threads.at(0).at("Uid"), "0\t"));
}

TEST_CASE(
    "--user root keeps what root may do, and nothing can be gained", "[system][tftpd][root]"
) {
    need_root();
    daemon_process daemon({"--user", "root"});
    for (proc_status status : threads_of(daemon.process().id())) {
        CHECK(status["Uid"] == "0\t0\t0\t0");
        CHECK(status["NoNewPrivs"] == "1");
    }
}

TEST_CASE("tftpd needs no root for a high port", "[system][tftpd][root]") {
    need_root();
    daemon_process daemon({}, {"127.0.0.1:0"}, as_nobody());
    write_file(daemon.root() / "file", "content");
    CHECK(fetch(daemon.server(), "file") == "content");
    for (const proc_status& status : threads_of(daemon.process().id())) {
        check_powerless(status);
    }
}

TEST_CASE("tftpd says what it needs for port 69", "[system][tftpd][root]") {
    need_root();
    const temp_dir dir;
    // A network of its own: in containers everybody may have every port.
    need_command({"unshare", "--net", "true"});
    command what = command_of({"unshare", "--net"});
    for (const std::string& word : as_nobody()) {
        what.argv.push_back(word);
    }
    what.argv.insert(what.argv.end(), {tftpd_program(), dir.path().string()});
    const run_result result = run(what, daemon_limit);
    CHECK(result.status == 2);
    CHECK(
        result.errors == "tftpd: cannot listen on 0.0.0.0:69: Permission denied (ports below 1024 "
                         "need root or CAP_NET_BIND_SERVICE)\n"
    );
}

TEST_CASE("tftpd serves port 69 with nothing but the capability for it", "[system][tftpd][root]") {
    need_root();
    need_command({"unshare", "--net", "true"});
    const temp_dir dir;
    std::vector<std::string> wrapper = {"unshare", "--net"};
    for (const std::string& word : as_nobody()) {
        wrapper.push_back(word);
    }
    wrapper.insert(
        wrapper.end(),
        {"--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"}
    );
    daemon_process daemon({}, {"0.0.0.0:69"}, wrapper);
    for (const proc_status& status : threads_of(daemon.process().id())) {
        check_powerless(status);
    }
}

TEST_CASE("tftpd warns when uploads cannot go to the directory itself", "[system][tftpd][root]") {
    need_root();
    const temp_dir dir;
    std::filesystem::create_directory(dir.path() / "in");
    std::filesystem::permissions(dir.path() / "in", std::filesystem::perms::all);
    std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
    const std::string warning = "tftpd: uploads may fail: user nobody cannot write to the "
                                "directory itself: Permission denied\n";

    SECTION("in the log, and goes on: some directories in it may be meant") {
        command what = command_of({tftpd_program(), "--listen", "127.0.0.1:0", "--user", "nobody"});
        for (const std::string& each : daemon_options()) {
            what.argv.push_back(each);
        }
        what.argv.insert(what.argv.end(), {"--writable", "create", dir.path().string()});
        child_process daemon(what);
        const auto line = daemon.wait_for_line(" on 127.0.0.1:", daemon_limit);
        REQUIRE(line);
        const auto listening = tftp::parse_endpoint(line->substr(line->rfind(' ') + 1), 0);
        REQUIRE(listening.has_value());
        CHECK_THAT(daemon.errors(), Contains(warning));
        udp_client client;
        CHECK(error_code_of(ask(client, *listening, wrq("file"))) == 2);
        const arrived ready = ask(client, *listening, wrq("in/file"));
        CHECK(store_rest(client, ready.from, "content").octets == ack(1));
        CHECK(holds(dir.path() / "in" / "file", "content"));
    }
    SECTION("and when it only checks") {
        const auto check = [&](std::vector<std::string> options) {
            options.insert(options.begin(), {"--check", "--user", "nobody"});
            options.push_back(dir.path().string());
            const run_result result = run_tftpd(options);
            CHECK(result.status == 0);
            CHECK(result.output == "tftpd: configuration OK\n");
            return result.errors;
        };
        CHECK(check({"--writable", "create"}) == warning);
        CHECK(check({"--writable", "existing"}) == warning);
        CHECK(check({}).empty());
        const std::string in = (dir.path() / "in").string();
        CHECK(check({"--writable", "create", "--upload-dir", in}).empty());
    }
}

TEST_CASE("only root can become somebody else", "[system][tftpd][root]") {
    need_root();
    const temp_dir dir;
    command what = command_of(as_nobody());
    what.argv.insert(what.argv.end(), {tftpd_program(), "--user", "root", dir.path().string()});
    const run_result result = run(what, daemon_limit);
    CHECK(result.status == 2);
    CHECK(result.errors == "tftpd: only root can become user 'root'\n");
}

TEST_CASE("a root that may become nobody stays what it is if told so", "[system][tftpd][root]") {
    need_root();
    const std::vector<std::vector<std::string>> starts = {
        // No capability at all, as with `--cap-drop all`.
        {"setpriv", "--bounding-set=-all", "--inh-caps=-all"},
        // A user namespace with one user in it, which allows no setgroups.
        {"unshare", "--user", "--map-root-user"},
    };
    for (const std::vector<std::string>& start : starts) {
        INFO(start.front());
        command possible = command_of(start);
        possible.argv.push_back("true");
        if (run(possible, daemon_limit).status != 0) {
            WARN(start.front() << " is not allowed here");
            continue;
        }
        daemon_process daemon({"--user", "root", "--writable", "create"}, {"127.0.0.1:0"}, start);
        write_file(daemon.root() / "file", "content");
        CHECK(fetch(daemon.server(), "file") == "content");
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("new"));
        CHECK(store_rest(client, ready.from, "content").octets == ack(1));
        for (proc_status status : threads_of(daemon.process().id())) {
            CHECK(status["NoNewPrivs"] == "1");
        }
        // Told to become another one it ends, and says what would do.
        command other = command_of(start);
        other.argv.insert(
            other.argv.end(), {tftpd_program(), "--user", "nobody", "--listen", "127.0.0.1:0", "/"}
        );
        const run_result refused = run(other, daemon_limit);
        CHECK(refused.status == 2);
        CHECK_THAT(
            refused.errors,
            Contains("tftpd: cannot drop privileges: ") &&
                Contains("(--user root changes nothing)\n")
        );
    }
}

TEST_CASE("--user root leaves groups and capabilities alone", "[system][tftpd][root]") {
    need_root();
    daemon_process daemon(
        {"--user", "root"},
        {"127.0.0.1:0"},
        {"setpriv", "--groups=4,27", "--bounding-set=-sys_boot"}
    );
    for (proc_status status : threads_of(daemon.process().id())) {
        CHECK_THAT(status["Groups"], Catch::Matchers::Matches("4 27 ?"));
        CHECK(status["CapEff"] == status["CapBnd"]);
        CHECK(status["CapEff"] != "0000000000000000");
    }
}
