#include "support/builders.hpp"
#include "support/script.hpp"

#include <tftp/server/held_requests.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr endpoint asked = endpoint::ipv4(192, 0, 2, 2, 69);

held_request held(std::uint16_t port, time_point due, const datagram& request = rrq("file")) {
    return {nullptr, endpoint::ipv4(192, 0, 2, 1, port), asked, {}, request, start, due};
}

} // namespace

TEST_CASE("held requests come out when they are due", "[driver][held]") {
    held_requests all;
    CHECK_FALSE(all.due());
    all.add(held(1, start + 3s));
    all.add(held(2, start + 1s));
    CHECK(all.due() == start + 1s);
    CHECK_FALSE(all.take_due(start + 999ms));
    const auto first = all.take_due(start + 1s);
    REQUIRE(first);
    CHECK(first->peer.port == 2);
    CHECK(all.due() == start + 3s);
    CHECK(all.take_due(start + 9s));
    CHECK(all.size() == 0);
}

TEST_CASE("of one client port the newest request is held", "[driver][held]") {
    held_requests all;
    all.add(held(1, start + 1s, rrq("old")));
    all.add(held(1, start + 2s, rrq("new")));
    CHECK(all.size() == 1);
    const auto taken = all.take_due(start + 2s);
    REQUIRE(taken);
    CHECK(taken->datagram == rrq("new"));
    all.add(held(1, start));
    all.add(held(2, start));
    all.forget(endpoint::ipv4(192, 0, 2, 1, 1), asked);
    all.forget(endpoint::ipv4(192, 0, 2, 1, 9), asked);
    CHECK(all.size() == 1);
    all.clear();
    CHECK_FALSE(all.due());
}

TEST_CASE("no more requests are held than may be", "[driver][held]") {
    held_requests all;
    for (std::uint16_t port = 1; port < 2000; ++port) {
        all.add(held(port, start));
    }
    CHECK(all.size() == held_requests::most);
}
