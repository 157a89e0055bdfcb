#include <tftp/base/endpoint.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <random>
#include <set>
#include <string>

#include <arpa/inet.h>

using namespace tftp;

namespace {

endpoint ipv6_loopback(std::uint16_t port) {
    endpoint e;
    e.family = address_family::ipv6;
    e.address[15] = 1;
    e.port = port;
    return e;
}

} // namespace

TEST_CASE("a fresh endpoint names nobody", "[wire][endpoint]") {
    const endpoint e;
    CHECK(e.family == address_family::none);
    CHECK(e.port == 0);
    CHECK(e == endpoint{});
}

TEST_CASE("an IPv4 endpoint keeps its address in network order", "[wire][endpoint]") {
    constexpr endpoint e = endpoint::ipv4(192, 0, 2, 7, 69);
    static_assert(e.family == address_family::ipv4);
    CHECK(e.address[0] == 192);
    CHECK(e.address[1] == 0);
    CHECK(e.address[2] == 2);
    CHECK(e.address[3] == 7);
    for (std::size_t i = 4; i < e.address.size(); ++i) {
        CHECK(e.address[i] == 0);
    }
    CHECK(e.port == 69);
}

TEST_CASE(
    "endpoints with the same address and another port are the same host", "[wire][endpoint]"
) {
    const endpoint a = endpoint::ipv4(192, 0, 2, 7, 69);
    CHECK(a.same_host(a.with_port(70)));
    CHECK(a != a.with_port(70));
    CHECK(a == a.with_port(70).with_port(69));
    CHECK_FALSE(a.same_host(endpoint::ipv4(192, 0, 2, 8, 69)));
}

TEST_CASE("family and scope tell hosts apart", "[wire][endpoint]") {
    const endpoint a = ipv6_loopback(69);
    endpoint other_scope = a;
    other_scope.scope = 2;
    CHECK_FALSE(a.same_host(other_scope));
    CHECK(a != other_scope);

    endpoint four;
    four.family = address_family::ipv4;
    endpoint six;
    six.family = address_family::ipv6;
    CHECK_FALSE(four.same_host(six));
}

TEST_CASE("the hash depends on each field", "[wire][endpoint]") {
    const endpoint a = ipv6_loopback(69);
    endpoint scope = a;
    scope.scope = 1;
    endpoint family = a;
    family.family = address_family::ipv4;
    endpoint first = a;
    first.address[0] = 1;
    const std::hash<endpoint> hash;
    const std::set<std::size_t> values{
        hash(a), hash(a.with_port(70)), hash(scope), hash(family), hash(first)};
    CHECK(values.size() == 5);
    CHECK(hash(a) == hash(ipv6_loopback(69)));
}

TEST_CASE("the ports of one host spread over the buckets of a table", "[wire][endpoint]") {
    constexpr std::size_t buckets = 1024;
    std::array<unsigned, buckets> load{};
    const endpoint host = endpoint::ipv4(192, 0, 2, 7, 0);
    for (unsigned port = 0; port < 65536; ++port) {
        const endpoint e = host.with_port(static_cast<std::uint16_t>(port));
        ++load[std::hash<endpoint>{}(e) % buckets];
    }
    // The mean is 64; a random function stays below 110 with a wide margin.
    CHECK(*std::max_element(load.begin(), load.end()) < 128);
}

TEST_CASE("an endpoint has a text", "[wire][endpoint][rfc5952]") {
    CHECK(endpoint().to_string() == "unspecified");
    CHECK(endpoint::ipv4(192, 0, 2, 1, 69).to_string() == "192.0.2.1:69");
    CHECK(endpoint::ipv4(255, 255, 255, 255, 65535).to_string() == "255.255.255.255:65535");
    CHECK(ipv6_loopback(69).to_string() == "[::1]:69");
    endpoint e;
    e.family = address_family::ipv6;
    CHECK(e.to_string() == "[::]:0");
    e.address.fill(0xff);
    e.scope = 4294967295U;
    e.port = 65535;
    CHECK(e.to_string() == "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

TEST_CASE("the text of an address is that of the system", "[wire][endpoint][rfc5952]") {
    std::mt19937 random(1);
    for (int i = 0; i < 20'000; ++i) {
        endpoint e;
        e.family = address_family::ipv6;
        for (std::size_t k = 0; k < 16; k += 2) {
            // Zeros in runs of all lengths.
            if (random() % 2 == 0) {
                e.address[k] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
                e.address[k + 1] = static_cast<std::uint8_t>(random());
            }
        }
        const bool mapped = random() % 16 == 0;
        if (mapped) {
            std::fill_n(e.address.begin(), 10, std::uint8_t{0});
            e.address[10] = e.address[11] = 0xff;
        } else if (std::all_of(e.address.begin(), e.address.begin() + 12, [](auto b) {
                       return b == 0;
                   })) {
            continue; // the C library writes these as IPv4, too
        }
        std::array<char, INET6_ADDRSTRLEN> expected{};
        ::inet_ntop(AF_INET6, e.address.data(), expected.data(), expected.size());
        REQUIRE(e.to_string() == "[" + std::string(expected.data()) + "]:0");
    }
}
