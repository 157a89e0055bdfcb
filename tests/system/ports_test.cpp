// Which ports the transfers of the real daemon have, and how it sends through them.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/loopback.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <poll.h>

using namespace tftp::test;

namespace {

/// Reads `name` from all clients at once, a block of each in turn; returns the ports of the server.
std::set<std::uint16_t>
read_together(daemon_process& daemon, std::size_t count, const std::string& content) {
    std::vector<std::unique_ptr<udp_client>> clients;
    std::vector<arrived> last;
    for (std::size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<udp_client>());
        last.push_back(ask(*clients.back(), daemon.server(), rrq("file")));
    }
    std::set<std::uint16_t> ports;
    for (std::size_t i = 0; i < count; ++i) {
        ports.insert(last[i].from.port);
        CHECK(fetch_rest(*clients[i], last[i]) == content);
    }
    return ports;
}

} // namespace

TEST_CASE("all transfers of --tid-mode single have the port of requests", "[system][tftpd][tid]") {
    daemon_process daemon({"--tid-mode", "single", "--writable", "create"});
    const std::string content = make_content(3000, 1);
    write_file(daemon.root() / "file", content);
    CHECK(read_together(daemon, 50, content) == std::set{daemon.server().port});

    udp_client client;
    const arrived ready = ask(client, daemon.server(), wrq("upload"));
    CHECK(ready.from == daemon.server());
    CHECK(store_rest(client, ready.from, content).octets == ack(6));
    CHECK(holds(daemon.root() / "upload", content));

    udp_client other;
    CHECK(error_code_of(ask(other, daemon.server(), ack(1))) == 5);
}

TEST_CASE("transfers of --tid-mode single go on when the daemon stops", "[system][tftpd][tid]") {
    // The kernel spreads clients over the sockets of the port: a thread that is done keeps its own
    // open, or those of the others would be spread anew.
    daemon_process daemon({"--tid-mode", "single", "--threads", "4", "--grace", "3600"});
    const std::string content = make_content(1000, 1);
    write_file(daemon.root() / "file", content);
    std::vector<std::unique_ptr<udp_client>> clients;
    std::vector<arrived> last;
    for (int i = 0; i < 40; ++i) {
        clients.push_back(std::make_unique<udp_client>());
        last.push_back(ask(*clients.back(), daemon.server(), rrq("file")));
    }
    daemon.process().send_signal(SIGTERM);
    for (std::size_t i = 0; i < clients.size(); ++i) {
        CHECK(fetch_rest(*clients[i], last[i]) == content);
    }
    CHECK(daemon.process().wait(daemon_limit) == 0);
}

TEST_CASE("transfers of --tid-mode pooled share some ports", "[system][tftpd][tid]") {
    daemon_process daemon({"--tid-mode", "pooled"});
    const std::string content = make_content(3000, 1);
    write_file(daemon.root() / "file", content);
    const auto ports = read_together(daemon, 200, content);
    CHECK(ports.size() <= 64);
    CHECK(ports.size() > 16);
    CHECK_FALSE(ports.contains(daemon.server().port));
}

TEST_CASE("more clients than descriptors are served at once", "[system][tftpd][tid][limits]") {
    // Shared ports and one open file: fewer descriptors than clients.
    daemon_process daemon({}, {"127.0.0.1:0"}, {"prlimit", "--nofile=256:256"});
    const std::string content = make_content(3000, 1);
    write_file(daemon.root() / "file", content);
    const auto ports = read_together(daemon, 500, content);
    CHECK(ports.size() < 200);
}

TEST_CASE("--sends says how the blocks of a window leave", "[system][tftpd]") {
    const auto way = GENERATE(as<std::string>(), "gso", "batch", "single");
    INFO(way);
    daemon_process daemon({"--sends", way});
    const std::string content = make_content(8 * 512, 1);
    write_file(daemon.root() / "file", content);
    // The kernel hands over together what left together, and nothing else.
    tftp::socket_options options;
    options.coalesce = true;
    const auto port = tftp::udp_socket::open(loopback(tftp::address_family::ipv4), options).value();
    tftp::scratch memory;
    const auto hear = [&] {
        ::pollfd wait{port->native_handle(), POLLIN, 0};
        REQUIRE(::poll(&wait, 1, 20'000) == 1);
        return port->receive_batch(memory, 1).value().front();
    };
    const auto say = [&](const tftp::endpoint& to, const std::vector<std::byte>& datagram) {
        REQUIRE_FALSE(port->send(to, {}, datagram));
    };
    say(daemon.server(), rrq("file", {{"windowsize", "8"}}));
    const tftp::endpoint tid = hear().from;
    say(tid, ack(0));
    std::string got;
    std::size_t messages = 0;
    while (got.size() < content.size()) {
        ++messages;
        hear().for_each_datagram([&](tftp::bytes_view block) { got += text(block.subspan(4)); });
    }
    CHECK((got == content));
    CHECK(messages == (way == "gso" ? 1 : 8));
    say(tid, ack(8));
    hear();
    say(tid, ack(9));
}
