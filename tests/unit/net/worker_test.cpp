#include "support/loopback.hpp"
#include "support/memory_content.hpp"

#include <tftp/io/udp_port.hpp>
#include <tftp/net/worker.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("a worker serves from the ports it may use until it has drained", "[net][worker]") {
    memory_content files;
    files.set("file", std::string(600, 'x'));
    std::vector<io::transfer_summary> finished;
    const std::function<void(const io::transfer_summary&)> keep = [&](const io::transfer_summary& s
                                                                  ) { finished.push_back(s); };
    const io::service_config service;
    // A wide range: other programs may hold some of it.
    const io::port_range range{20'000, 29'999};
    net::worker worker({files, service, range, nullptr, nullptr, keep});
    auto port = io::udp_port::open(loopback(address_family::ipv4), {}).value();
    const endpoint address = port->local_endpoint();
    worker.listen(std::move(port));
    CHECK(worker.running() == 0);
    std::thread thread([&] { worker.run(); });

    loopback_peer asker;
    asker.say(address, rrq("file"));
    const auto first = asker.hear();
    worker.drain(60s);
    bool ended = false;
    if (first) {
        asker.say(first->first, ack(1));
        ended = asker.hear().has_value();
        asker.say(first->first, ack(2));
    } else {
        worker.stop();
    }
    thread.join();
    REQUIRE(first);
    CHECK(first->first.port >= range.first);
    CHECK(first->first.port <= range.last);
    CHECK(ended);
    CHECK(worker.running() == 0);
    REQUIRE(finished.size() == 1);
    CHECK_FALSE(finished[0].outcome);
}
