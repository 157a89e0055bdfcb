#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/forged.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

tftp::endpoint at(std::string_view text) {
    const auto parsed = tftp::parse_endpoint(text, 0);
    REQUIRE(parsed.has_value());
    return *parsed;
}

/// Waits until packets to an own address arrive: the kernel makes a new IPv6 address usable in the
/// background.
bool wait_until_usable(std::string_view address) {
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    while (std::chrono::steady_clock::now() < limit) {
        try {
            udp_client self(at(address));
            self.send(self.local(), ack(0));
            if (self.receive(100ms)) {
                return true;
            }
        } catch (const std::system_error&) {
            std::this_thread::yield();
        }
    }
    return false;
}

/// Gives the whole test program a network of its own, where every port is free: an interface with
/// broadcast, two addresses in each family.
void need_private_network() {
    need_root();
    static const bool ready = [] {
        need(enter_daemon_network);
        need([] { add_link_pair("lan0", "lan1"); });
        run_ip({"address", "add", "192.0.2.1/24", "broadcast", "192.0.2.255", "dev", "lan0"});
        run_ip({"address", "add", "192.0.2.2/24", "dev", "lan0"});
        run_ip({"-6", "address", "add", "2001:db8::1/64", "dev", "lan0", "nodad"});
        run_ip({"-6", "address", "add", "2001:db8::2/64", "dev", "lan0", "nodad"});
        run_ip({"link", "set", "lan0", "up"});
        run_ip({"link", "set", "lan1", "up"});
        return wait_until_usable("2001:db8::1") && wait_until_usable("2001:db8::2");
    }();
    REQUIRE(ready);
}

} // namespace

TEST_CASE("tftpd answers from the address that was asked", "[system][tftpd][network]") {
    need_private_network();
    daemon_process daemon({}, {"0.0.0.0:69", "[::]:69"});
    write_file(daemon.root() / "file", "content");
    for (const char* address :
         {"127.0.0.1",
          "127.0.0.2",
          "192.0.2.1",
          "192.0.2.2",
          "::1",
          "2001:db8::1",
          "2001:db8::2"}) {
        INFO(address);
        const tftp::endpoint where = at(address).with_port(69);
        const bool v4 = where.family == tftp::address_family::ipv4;
        udp_client client(at(v4 ? "0.0.0.0" : "::"));
        const arrived answer = ask(client, where, rrq("file"));
        CHECK(answer.from.same_host(where));
        CHECK(fetch_rest(client, answer) == "content");
        CHECK(ask(client, where, rrq("missing")).from == where);
    }
}

TEST_CASE("tftpd serves all addresses of both families on port 69", "[system][tftpd][network]") {
    need_private_network();
    const temp_dir dir;
    write_file(dir.path() / "file", "content");
    command what = command_of({tftpd_program()});
    for (const std::string& each : daemon_options()) {
        what.argv.push_back(each);
    }
    what.argv.push_back(dir.path().string());
    child_process daemon(what);
    REQUIRE(daemon.wait_for_line("serving files on 0.0.0.0:69", daemon_limit));
    REQUIRE(daemon.wait_for_line("serving files on [::]:69", daemon_limit));
    CHECK(fetch(at("192.0.2.1:69"), "file") == "content");
    udp_client client(at("::1"));
    CHECK(fetch_rest(client, ask(client, at("[::1]:69"), rrq("file"))) == "content");
}

TEST_CASE("the log names the interface of a link-local client", "[system][tftpd][network]") {
    need_private_network();
    run_ip({"-6", "address", "replace", "fe80::77/64", "dev", "lan0", "nodad"});
    REQUIRE(wait_until_usable("fe80::77%lan0"));
    daemon_process daemon({}, {"[::]:69"});
    udp_client client(at("fe80::77%lan0"));
    CHECK(error_code_of(ask(client, at("[fe80::77%lan0]:69"), rrq("missing"))) == 1);
    CHECK_THAT(daemon.line("\"missing\""), Catch::Matchers::Contains(" [fe80::77%lan0]:"));
}

TEST_CASE("tftpd ignores requests to broadcast and multicast", "[system][tftpd][rfc1123]") {
    need_private_network();
    daemon_process daemon({"--threads", "1"}, {"0.0.0.0:69", "[::]:69"});
    write_file(daemon.root() / "file", "content");
    SECTION("of IPv4") {
        udp_client client(at("192.0.2.1"));
        for (const char* group : {"192.0.2.255", "255.255.255.255", "224.0.0.1"}) {
            INFO(group);
            client.send(at(group).with_port(69), rrq("file"));
            client.send(at(group).with_port(69), rrq("missing"));
            CHECK(error_code_of(ask(client, at("192.0.2.1:69"), wrq("marker"))) == 2);
        }
    }
    SECTION("of IPv6") {
        udp_client client(at("2001:db8::1"));
        client.send(at("[ff02::1%lan0]:69"), rrq("file"));
        CHECK(error_code_of(ask(client, at("[2001:db8::1]:69"), wrq("marker"))) == 2);
    }
}

TEST_CASE("tftpd ignores requests that cannot be answered", "[system][tftpd][network]") {
    need_private_network();
    daemon_process daemon({"--threads", "1"}, {"192.0.2.1:69"});
    SECTION("from port 0") {
        forged_sender().send(at("192.0.2.2:0"), daemon.server(), rrq("forged"));
    }
    SECTION("from its own port, which would be a loop") {
        forged_sender().send(daemon.server(), daemon.server(), rrq("forged"));
        forged_sender().send(daemon.server(), daemon.server(), wrq("forged", {}, "mail"));
    }
    udp_client client(at("192.0.2.2"));
    CHECK(error_code_of(ask(client, daemon.server(), rrq("marker"))) == 1);
    CHECK_THAT(daemon.line("marker"), Catch::Matchers::Contains("No such file"));
    CHECK_THAT(daemon.process().errors(), !Catch::Matchers::Contains("forged"));
    CHECK_THAT(daemon.process().errors(), !Catch::Matchers::Contains("mode"));
}

TEST_CASE("transfers use the ports of --port-range", "[system][tftpd][network]") {
    need_private_network();
    daemon_process daemon({"--threads", "1", "--port-range", "7001:7003"}, {"0.0.0.0:69"});
    write_file(daemon.root() / "file", "content");
    std::vector<std::unique_ptr<udp_client>> clients;
    std::vector<std::uint16_t> used;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<udp_client>());
        const arrived first = ask(*clients.back(), at("127.0.0.1:69"), rrq("file"));
        CHECK(first.octets[1] == std::byte{3});
        used.push_back(first.from.port);
    }
    // The last is there to be shared.
    CHECK(used[3] == used[2]);
    CHECK(used[4] == used[2]);
    std::sort(used.begin(), used.begin() + 3);
    used.resize(3);
    CHECK(used == std::vector<std::uint16_t>{7001, 7002, 7003});
}

TEST_CASE("a block is no larger than the route carries in one piece", "[system][tftpd][network]") {
    need_private_network();
    run_ip({"link", "set", "lo", "mtu", "1500"});
    const datagram request = rrq("file", {{"blksize", "9000"}});
    SECTION("by default") {
        daemon_process daemon({}, {"127.0.0.1:69", "[::1]:69"});
        write_file(daemon.root() / "file", "content");
        udp_client v4;
        CHECK(ask(v4, at("127.0.0.1:69"), request).octets == oack({{"blksize", "1468"}}));
        udp_client v6(at("::1"));
        CHECK(ask(v6, at("[::1]:69"), request).octets == oack({{"blksize", "1448"}}));
    }
    SECTION("of the route as it has become") {
        daemon_process daemon({"--threads", "1"}, {"127.0.0.1:69"});
        write_file(daemon.root() / "file", "content");
        const auto answer = [&] {
            udp_client client;
            const arrived offered = ask(client, at("127.0.0.1:69"), request);
            client.send(offered.from, error_packet(0, "not wanted"));
            return offered.octets;
        };
        REQUIRE(answer() == oack({{"blksize", "1468"}}));
        run_ip({"link", "set", "lo", "mtu", "1300"});
        // What is known of a route is kept for some seconds.
        const auto limit = std::chrono::steady_clock::now() + daemon_limit;
        while (answer() != oack({{"blksize", "1268"}}) && std::chrono::steady_clock::now() < limit
        ) {
            // The pace of the questions: nothing comes here.
            REQUIRE_FALSE(udp_client().receive(100ms));
        }
        CHECK(answer() == oack({{"blksize", "1268"}}));
    }
    SECTION("unless a limit is given") {
        daemon_process daemon({"--blksize-max", "65464"}, {"127.0.0.1:69"});
        write_file(daemon.root() / "file", "content");
        udp_client client;
        CHECK(ask(client, at("127.0.0.1:69"), request).octets == oack({{"blksize", "9000"}}));
    }
    run_ip({"link", "set", "lo", "mtu", "65536"});
}

TEST_CASE("tftpd serves with its standard streams closed", "[system][tftpd][network]") {
    need_private_network();
    const temp_dir dir;
    write_file(dir.path() / "file", "content");
    const std::string closed = R"(exec "$0" "$@" <&- >&- 2>&-)";
    std::vector<std::string> line{"sh", "-c", closed, tftpd_program()};
    for (const auto& each :
         {daemon_options(),
          {"--listen", "127.0.0.1:69", "--writable", "create", dir.path().string()}}) {
        line.insert(line.end(), each.begin(), each.end());
    }
    child_process daemon(command_of(line));
    REQUIRE(wait_for_answer({"127.0.0.1", 69}, daemon, daemon_limit));
    CHECK(fetch(at("127.0.0.1:69"), "file") == "content");
    udp_client client;
    const arrived ready = ask(client, at("127.0.0.1:69"), wrq("upload"));
    CHECK(store_rest(client, ready.from, std::string(600, 'x')).octets == ack(2));
    // No file of its own may have got the number that log lines are written to.
    for (const char* stream : {"0", "1", "2"}) {
        const std::filesystem::path streams = "/proc/" + std::to_string(daemon.id()) + "/fd";
        CHECK(std::filesystem::read_symlink(streams / stream) == "/dev/null");
    }
    CHECK(holds(dir.path() / "upload", std::string(600, 'x')));
    daemon.send_signal(SIGTERM);
    CHECK(daemon.wait(daemon_limit) == 0);
}
