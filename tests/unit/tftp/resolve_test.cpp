#include "resolve.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp;
using namespace tftp::cli;

TEST_CASE("numeric addresses need no name server", "[tftp][resolve]") {
    const resolution v4 = resolve("127.0.0.1", 6969, address_family::none);
    REQUIRE(v4.addresses.size() == 1);
    CHECK(v4.addresses.front() == endpoint::ipv4(127, 0, 0, 1, 6969));

    const resolution v6 = resolve("::1", 69, address_family::ipv6);
    REQUIRE(v6.addresses.size() == 1);
    CHECK(v6.addresses.front().family == address_family::ipv6);
    CHECK(v6.addresses.front().port == 69);
}

TEST_CASE("a link-local address names its interface", "[tftp][resolve]") {
    const resolution found = resolve("fe80::1%lo", 69, address_family::none);
    REQUIRE(found.addresses.size() == 1);
    CHECK(found.addresses.front().scope != 0);

    const resolution missing = resolve("fe80::1%nosuchif", 69, address_family::none);
    CHECK(missing.addresses.empty());
    CHECK_THAT(missing.problem, Catch::Contains("no such network interface"));
}

TEST_CASE("an address of the other family is refused", "[tftp][resolve]") {
    CHECK(resolve("::1", 69, address_family::ipv4).problem == "this is no IPv4 address");
    CHECK(resolve("127.0.0.1", 69, address_family::ipv6).problem == "this is no IPv6 address");
}

TEST_CASE("each address of a name appears once", "[tftp][resolve]") {
    test::need_host("localhost");
    const resolution found = resolve("localhost", 7, address_family::none);
    REQUIRE_FALSE(found.addresses.empty());
    for (std::size_t i = 0; i < found.addresses.size(); ++i) {
        CHECK(found.addresses[i].port == 7);
        for (std::size_t k = 0; k < i; ++k) {
            CHECK_FALSE(found.addresses[i] == found.addresses[k]);
        }
    }
    for (const endpoint& e : resolve("localhost", 7, address_family::ipv4).addresses) {
        CHECK(e.family == address_family::ipv4);
    }
}

TEST_CASE("a text that is no name gives a problem, not an address", "[tftp][resolve]") {
    for (const char* text : {"::1:x", "1.2.3.4:80", "a b"}) {
        INFO(text);
        const resolution found = resolve(text, 69, address_family::none);
        CHECK(found.addresses.empty());
        CHECK_FALSE(found.problem.empty());
    }
}
