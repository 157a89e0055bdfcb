#include "support/script.hpp"

#include <tftp/server/admission.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

endpoint client(std::uint32_t n, std::uint16_t port = 2000) {
    return endpoint::ipv4(
        10,
        static_cast<std::uint8_t>(n >> 16),
        static_cast<std::uint8_t>(n >> 8),
        static_cast<std::uint8_t>(n),
        port
    );
}

limits small() {
    limits bounds;
    bounds.transfers_max = 4;
    bounds.transfers_per_client_max = 2;
    bounds.requests_per_client_per_second = 10;
    return bounds;
}

/// Asks for a transfer that ends at once.
error_code failure(admission& gate, const endpoint& who, time_point now) {
    const auto place = gate.admit(who, now);
    return place ? error_code() : place.error();
}

} // namespace

TEST_CASE("a token bucket gives its rate, and one second of it at once", "[driver][admission]") {
    token_bucket bucket(1000, start);
    CHECK(bucket.available(start) == 1000);
    bucket.take(1000);
    CHECK(bucket.available(start) == 0);
    CHECK(bucket.next(start) == start + 1ms);
    CHECK(bucket.available(start + 999us) == 0);
    CHECK(bucket.next(start + 999us) == start + 1ms);
    CHECK(bucket.available(start + 1ms) == 1);
    CHECK(bucket.next(start + 1ms) == start + 1ms);
    // A clock that went back gives nothing.
    CHECK(bucket.available(start) == 1);
    CHECK(bucket.available(start + 501ms) == 501);
    CHECK(bucket.available(start + std::chrono::hours(1000)) == 1000);
}

TEST_CASE("a token bucket loses no fraction of a token", "[driver][admission]") {
    token_bucket bucket(3, start);
    bucket.take(3);
    std::size_t tokens = 0;
    for (auto now = start; now < start + 10s; now += 7ms) {
        const std::size_t some = bucket.available(now);
        bucket.take(some);
        tokens += some;
    }
    CHECK(tokens == 29);
}

TEST_CASE("admission counts transfers of all and of each client", "[driver][admission]") {
    admission gate(small(), 1);
    std::vector<admission::permit> held;
    const auto admit = [&](const endpoint& who) {
        auto place = gate.admit(who, start);
        if (place) {
            held.push_back(std::move(*place));
        }
        return place ? error_code() : place.error();
    };
    CHECK_FALSE(admit(client(1, 1)));
    CHECK_FALSE(admit(client(1, 2)));
    CHECK(admit(client(1, 3)) == errc::client_overloaded);
    CHECK_FALSE(admit(client(2)));
    CHECK_FALSE(admit(client(3)));
    CHECK(admit(client(4)) == errc::overloaded);
    CHECK(gate.transfers() == 4);
    held.erase(held.begin());
    CHECK(gate.transfers() == 3);
    CHECK_FALSE(admit(client(1, 3)));
    held.clear();
    CHECK(gate.transfers() == 0);
}

TEST_CASE("admission stops a client that asks too fast, and no other", "[driver][admission]") {
    admission gate(small(), 1);
    for (int i = 0; i < 10; ++i) {
        REQUIRE_FALSE(failure(gate, client(1), start));
    }
    CHECK(failure(gate, client(1), start) == errc::too_fast);
    CHECK(failure(gate, client(1, 9), start + 99ms) == errc::too_fast);
    CHECK_FALSE(failure(gate, client(2), start + 99ms));
    CHECK_FALSE(failure(gate, client(1), start + 100ms));
    CHECK(failure(gate, client(1), start + 100ms) == errc::too_fast);
}

TEST_CASE(
    "admission forgets clients that are gone, and none that is there", "[driver][admission]"
) {
    limits bounds;
    bounds.transfers_max = 100'000;
    admission gate(bounds, 1);
    const auto kept = gate.admit(client(0), start);
    auto now = start;
    for (std::uint32_t n = 1; n <= 50'000; ++n) {
        now += 100us;
        REQUIRE_FALSE(failure(gate, client(n), now));
    }
    // One second of them is remembered.
    CHECK(gate.clients() <= 10'002);
    for (std::uint32_t n = 0; n < 10'000; ++n) {
        REQUIRE_FALSE(failure(gate, client(60'000), now + 5s));
    }
    CHECK(gate.clients() == 2);
    CHECK(gate.transfers() == 1);
}
