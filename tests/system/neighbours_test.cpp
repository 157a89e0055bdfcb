#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/forged.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include <unistd.h>

/// Requests in the name of neighbours that do not exist: what answers them waits in the socket, for
/// seconds, until the system has given up asking for their link addresses.
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t requests_per_second = 2'000;

void need_neighbours() {
    need_root();
    static const bool ready = [] {
        need(enter_daemon_network);
        run_ip({"link", "add", "lan0", "type", "veth", "peer", "name", "lan1"});
        run_ip({"address", "add", "192.0.2.1/24", "dev", "lan0"});
        run_ip({"link", "set", "lan0", "up"});
        run_ip({"link", "set", "lan1", "up"});
        // On the link, and nobody has any of these addresses.
        run_ip({"route", "add", "10.0.0.0/8", "dev", "lan0"});
        return true;
    }();
    REQUIRE(ready);
}

/// Asks in the name of one neighbour after the other, from a thread of its own, until it ends.
class dead_neighbours {
public:
    explicit dead_neighbours(const tftp::endpoint& server)
        : thread_([this, server] { run(server); }) {}

    ~dead_neighbours() {
        over_ = true;
        thread_.join();
    }

    dead_neighbours(const dead_neighbours&) = delete;
    dead_neighbours& operator=(const dead_neighbours&) = delete;

    [[nodiscard]] std::size_t sent() const { return sent_; }

private:
    void run(const tftp::endpoint& server) {
        const auto begun = steady::now();
        for (std::size_t n = 0; !over_; ++n) {
            if (n % 10 == 0) {
                // The pace of the traffic, not a wait for something to happen.
                std::this_thread::sleep_until(begun + n * 1'000'000us / requests_per_second);
            }
            const auto from = tftp::endpoint::ipv4(
                10,
                static_cast<std::uint8_t>(n >> 16),
                static_cast<std::uint8_t>(n >> 8),
                static_cast<std::uint8_t>(n),
                2000
            );
            sender_.send(from, server, n % 2 == 0 ? rrq("none") : rrq("file"));
            sent_ = n + 1;
        }
    }

    forged_sender sender_;
    std::atomic<bool> over_ = false;
    std::atomic<std::size_t> sent_ = 0;
    std::thread thread_;
};

/// Seconds until the ERROR for a missing file has come.
double ask_for_nothing(const tftp::endpoint& server) {
    udp_client client(server.with_port(0));
    const auto begun = steady::now();
    client.send(server, rrq("nothing-here"));
    const auto answer = client.receive(10s);
    REQUIRE(answer);
    CHECK(error_code_of(*answer) == 1);
    return std::chrono::duration<double>(steady::now() - begun).count();
}

/// Seconds that a file took.
double fetch(const tftp::endpoint& server, const std::string& content, std::uint16_t windowsize) {
    tftp::client_request asked;
    asked.options = tftp::no_options;
    asked.server = server;
    asked.filename = "file";
    asked.options->windowsize = windowsize;
    tftp::memory_sink into(content.size());
    const auto begun = steady::now();
    tftp::error_code failed;
    static_cast<void>(tftp::get(asked, into, failed));
    INFO(failed.message());
    REQUIRE_FALSE(failed);
    REQUIRE(std::ranges::equal(into.content(), std::as_bytes(std::span(content))));
    return std::chrono::duration<double>(steady::now() - begun).count();
}

} // namespace

TEST_CASE("neighbours that do not exist hold up nobody", "[system][tftpd][flood]") {
    need_neighbours();
    const std::string mode = GENERATE("exclusive", "pooled", "single");
    daemon_process daemon({"--threads", "1", "--tid-mode", mode}, {"192.0.2.1:0"});
    const std::string content = make_content(50'000, 1);
    write_file(daemon.root() / "file", content);
    double error = 0;
    double file = 0;
    int rounds = 0;
    {
        const dead_neighbours asking(daemon.server());
        const auto begun = steady::now();
        // Longer than the system asks for a neighbour: as many wait as ever will.
        while (steady::now() - begun < 6s) {
            error = std::max(error, ask_for_nothing(daemon.server()));
            file = std::max(file, fetch(daemon.server(), content, rounds % 2 == 0 ? 1 : 8));
            ++rounds;
        }
        CHECK(asking.sent() > 5 * requests_per_second);
    }
    std::cout << mode << ": " << rounds << " rounds, an ERROR within " << error
              << " s, a file within " << file << " s" << std::endl;
    CHECK(error < 1);
    CHECK(file < 2);
}
