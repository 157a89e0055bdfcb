#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <string>

#include <arpa/inet.h>
#include <net/if.h>

using tftp::address_family;
using tftp::address_to_string;
using tftp::endpoint;
using tftp::parse_endpoint;
using tftp::socket_address;
using tftp::to_string;

namespace {

endpoint parsed(const std::string& text) {
    INFO(text);
    return parse_endpoint(text, 69).value();
}

const std::string loopback_index = std::to_string(::if_nametoindex("lo"));

} // namespace

TEST_CASE("an IPv4 endpoint keeps its value on the way through a socket address", "[io][address]") {
    const endpoint e = endpoint::ipv4(192, 0, 2, 1, 6969);
    const socket_address address(e);
    CHECK(address.size() == sizeof(::sockaddr_in));
    CHECK(address.data()->sa_family == AF_INET);
    CHECK(address.to_endpoint() == e);
    const auto* const in = reinterpret_cast<const ::sockaddr_in*>(address.data());
    CHECK(in->sin_port == htons(6969));
    CHECK(in->sin_addr.s_addr == htonl(0xc0000201));
}

TEST_CASE("an IPv6 endpoint keeps address, port and scope", "[io][address]") {
    endpoint e = parsed("[fe80::1:2]:1069");
    e.scope = 7;
    const socket_address address(e);
    CHECK(address.size() == sizeof(::sockaddr_in6));
    CHECK(address.to_endpoint() == e);
    const auto* const in6 = reinterpret_cast<const ::sockaddr_in6*>(address.data());
    CHECK(in6->sin6_scope_id == 7);
    CHECK(in6->sin6_port == htons(1069));
}

TEST_CASE("an address of no family is unspecified both ways", "[io][address]") {
    const socket_address address{endpoint{}};
    CHECK(address.data()->sa_family == AF_UNSPEC);
    CHECK(address.to_endpoint() == endpoint{});
    CHECK(socket_address().to_endpoint() == endpoint{});
}

TEST_CASE("endpoints print in the usual notation", "[io][address]") {
    CHECK(to_string(endpoint::ipv4(192, 0, 2, 1, 69)) == "192.0.2.1:69");
    CHECK(address_to_string(endpoint::ipv4(192, 0, 2, 1, 69)) == "192.0.2.1");
    const endpoint v6 = parsed("2001:db8::1");
    CHECK(to_string(v6) == "[2001:db8::1]:69");
    CHECK(address_to_string(v6) == "2001:db8::1");
    CHECK(address_to_string(endpoint{}) == "unspecified");
}

TEST_CASE(
    "a scope prints as the interface's name, or its index when it has none", "[io][address]"
) {
    endpoint e = parsed("fe80::1");
    e.scope = ::if_nametoindex("lo");
    CHECK(to_string(e) == "[fe80::1%lo]:69");
    e.scope = 4000000000;
    CHECK(address_to_string(e) == "fe80::1%4000000000");
}

TEST_CASE("numeric endpoints are read in every notation", "[io][address]") {
    CHECK(parsed("192.0.2.1") == endpoint::ipv4(192, 0, 2, 1, 69));
    CHECK(parsed("192.0.2.1:6969") == endpoint::ipv4(192, 0, 2, 1, 6969));
    CHECK(parsed("0.0.0.0:0") == endpoint::ipv4(0, 0, 0, 0, 0));
    CHECK(parsed("255.255.255.255:65535") == endpoint::ipv4(255, 255, 255, 255, 65535));

    const endpoint v6 = parsed("2001:db8::1");
    CHECK(v6.family == address_family::ipv6);
    CHECK(v6.address[0] == 0x20);
    CHECK(v6.address[15] == 1);
    CHECK(v6.port == 69);
    CHECK(parsed("[2001:db8::1]") == v6);
    CHECK(parsed("[2001:db8::1]:6969") == v6.with_port(6969));
    CHECK(parsed("::").port == 69);
    CHECK(parsed("[::]:1069").port == 1069);
    CHECK(parsed("1:2:3:4:5:6:7:8").port == 69);
}

TEST_CASE("a link-local address takes its interface by name or index", "[io][address]") {
    const std::uint32_t lo = ::if_nametoindex("lo");
    CHECK(parsed("fe80::1%lo").scope == lo);
    CHECK(parsed("[fe80::1%lo]:6969").scope == lo);
    CHECK(parsed("[fe80::1%lo]:6969").port == 6969);
    CHECK(parsed("fe80::1%" + loopback_index).scope == lo);
    CHECK(parsed("ff02::1%lo").scope == lo);
    CHECK(parsed(to_string(parsed("fe80::1%lo"))) == parsed("fe80::1%lo"));
}

TEST_CASE("texts that are no numeric endpoint are refused", "[io][address]") {
    const char* const text = GENERATE(
        "",
        " ",
        "localhost",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1 ",
        " 192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1: 69",
        "192.0.2.1:65536",
        "192.0.2.1:69x",
        ":69",
        "[",
        "[]",
        "[::1",
        "::1]",
        "[::1]69",
        "[::1]:",
        "[::1]:65536",
        "[192.0.2.1]",
        "192.0.2.1%lo",
        "2001:db8::1%lo",
        "::1::2",
        "12345::1",
        "fe80::1%",
        "fe80::1%0",
        "fe80::1%interface-with-a-name-longer-than-any-interface-can-have",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"
    );
    INFO(text);
    const tftp::result<endpoint> e = parse_endpoint(text, 69);
    REQUIRE_FALSE(e.has_value());
    CHECK(e.error() == boost::system::errc::invalid_argument);
}

TEST_CASE("an unknown interface is named as the reason", "[io][address]") {
    const tftp::result<endpoint> e = parse_endpoint("fe80::1%no-such-if", 69);
    REQUIRE_FALSE(e.has_value());
    CHECK(e.error() == boost::system::errc::no_such_device);
}

TEST_CASE("a text with a zero byte is refused", "[io][address]") {
    using namespace std::string_view_literals;
    CHECK_FALSE(parse_endpoint("192.0.2.1\0"sv, 69).has_value());
    CHECK_FALSE(parse_endpoint("192.0.2.1\0.1"sv, 69).has_value());
    CHECK_FALSE(parse_endpoint("fe80::1%lo\0"sv, 69).has_value());
}
