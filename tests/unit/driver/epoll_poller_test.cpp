#include "support/loopback.hpp"
#include "support/memory_content.hpp"

#include <tftp/driver/epoll_poller.hpp>
#include <tftp/driver/service.hpp>
#include <tftp/io/udp_port.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

#include <poll.h>

using namespace tftp;
using namespace tftp::test;

namespace {

struct finished_count final : io::observer {
    void on_finished(const io::transfer_summary& s) noexcept override {
        ++ended;
        failed += s.outcome ? 1 : 0;
    }

    int ended = 0;
    int failed = 0;
};

bool is_ready(const io::epoll_poller& poller, int limit_ms) {
    ::pollfd wait{poller.native_handle(), POLLIN, 0};
    return ::poll(&wait, 1, limit_ms) == 1;
}

} // namespace

TEST_CASE("one descriptor stands for all of a service", "[driver][epoll_poller]") {
    memory_content files;
    files.set("file", std::string(600, 'x'));
    io::udp_port_factory ports;
    io::epoll_poller poller;
    finished_count finished;
    io::service service({files, ports, poller, finished}, {}, clock::now());
    auto port = io::udp_port::open(loopback(address_family::ipv4), {}).value();
    const endpoint address = port->local_endpoint();
    REQUIRE_FALSE(service.listen(std::move(port)));
    CHECK_FALSE(is_ready(poller, 0));
    CHECK(poller.dispatch(service, clock::now()) == 0);

    loopback_peer asker;
    asker.say(address, rrq("file"));
    REQUIRE(is_ready(poller, 20'000));
    CHECK(poller.dispatch(service, clock::now()) == 1);
    CHECK(service.running() == 1);
    const auto first = asker.hear();
    REQUIRE(first);
    for (std::uint16_t block = 1; block <= 2; ++block) {
        asker.say(first->first, ack(block));
        REQUIRE(is_ready(poller, 20'000));
        CHECK(poller.dispatch(service, clock::now()) == 1);
    }
    CHECK(finished.ended == 1);
    CHECK(finished.failed == 0);
    CHECK(service.transfers() == 0);
    service.close_listeners();
    CHECK_FALSE(is_ready(poller, 0));
}

TEST_CASE("what cannot be watched is an error", "[driver][epoll_poller]") {
    io::epoll_poller poller;
    CHECK(poller.watch({-1, true, false}, nullptr) == boost::system::errc::bad_file_descriptor);
    // Not watched: nothing happens.
    poller.unwatch(-1);
}

TEST_CASE("watching again changes what is waited for", "[driver][epoll_poller]") {
    io::epoll_poller poller;
    auto port = io::udp_port::open(loopback(address_family::ipv4), {}).value();
    const int fd = port->native_handle();
    CHECK_FALSE(poller.watch({fd, true, false}, nullptr));
    CHECK_FALSE(is_ready(poller, 0));
    CHECK_FALSE(poller.watch({fd, true, true}, nullptr));
    CHECK(is_ready(poller, 0));
    CHECK_FALSE(poller.watch({fd, true, false}, nullptr));
    CHECK_FALSE(is_ready(poller, 0));
}
