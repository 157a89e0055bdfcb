// Which ports the transfers of the real daemon have.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

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
