#include "support/builders.hpp"
#include "support/script.hpp"

#include <tftp/server/destination_budget.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;
using budget = destination_budget;

namespace {

constexpr endpoint victim = endpoint::ipv4(192, 0, 2, 1, 1000);

endpoint ipv6(std::uint8_t network, std::uint8_t host) {
    endpoint e;
    e.family = address_family::ipv6;
    e.address[7] = network;
    e.address[15] = host;
    e.port = 1000;
    return e;
}

} // namespace

TEST_CASE("a destination that acknowledges nothing gets less, then nothing", "[driver][budget]") {
    budget b(1);
    CHECK(b.of(victim, start) == budget::state::free);
    b.charge(victim, budget::reduced_above, start);
    CHECK(b.of(victim, start) == budget::state::free);
    b.charge(victim.with_port(7), 1, start);
    CHECK(b.of(victim, start) == budget::state::reduced);
    b.charge(victim, budget::silent_above, start);
    CHECK(b.of(victim, start) == budget::state::silent);
    CHECK(b.of(endpoint::ipv4(192, 0, 2, 2, 1000), start) == budget::state::free);
    SECTION("until time has passed") {
        CHECK(b.of(victim, start + 70s) == budget::state::reduced);
        CHECK(b.of(victim, start + 330s) == budget::state::free);
        CHECK(b.of(victim, start + std::chrono::hours(1000)) == budget::state::free);
    }
    SECTION("or it has acknowledged after all") {
        b.credit(victim, budget::silent_above);
        CHECK(b.of(victim, start) == budget::state::reduced);
        b.credit(victim, 2 * budget::silent_above);
        CHECK(b.of(victim, start) == budget::state::free);
    }
}

TEST_CASE("an IPv6 destination is a /64", "[driver][budget]") {
    budget b(1);
    b.charge(ipv6(1, 1), 2 * budget::reduced_above, start);
    CHECK(b.of(ipv6(1, 2), start) == budget::state::reduced);
    CHECK(b.of(ipv6(2, 1), start) == budget::state::free);
}

TEST_CASE("a bounded number of destinations is remembered", "[driver][budget]") {
    budget b(1);
    for (std::uint32_t n = 0; n < 3 * budget::remembered_max; ++n) {
        const auto host = endpoint::ipv4(
            10,
            static_cast<std::uint8_t>(n >> 16),
            static_cast<std::uint8_t>(n >> 8),
            static_cast<std::uint8_t>(n),
            1
        );
        b.charge(host, 2 * budget::reduced_above, start);
        CHECK(b.of(host, start) == budget::state::reduced);
    }
    CHECK(b.size() == budget::remembered_max);
    // All of them are forgiven.
    b.charge(victim, 1, start + std::chrono::hours(2));
    CHECK(b.size() == 1);
}
