#include "support/skip.hpp"

#include <tftp/client/resolver.hpp>

#include <catch2/catch.hpp>

#include <netdb.h>

using namespace tftp;

TEST_CASE("numeric addresses need no name server", "[client][resolve]") {
    const resolution v4 = resolve("127.0.0.1", 6969, address_family::none);
    REQUIRE(v4.addresses.size() == 1);
    CHECK(v4.addresses.front() == endpoint::ipv4(127, 0, 0, 1, 6969));

    const resolution v6 = resolve("::1", 69, address_family::ipv6);
    REQUIRE(v6.addresses.size() == 1);
    CHECK(v6.addresses.front().family == address_family::ipv6);
    CHECK(v6.addresses.front().port == 69);
}

TEST_CASE("a link-local address names its interface", "[client][resolve]") {
    const resolution found = resolve("fe80::1%lo", 69, address_family::none);
    REQUIRE(found.addresses.size() == 1);
    CHECK(found.addresses.front().scope != 0);

    const resolution missing = resolve("fe80::1%nosuchif", 69, address_family::none);
    CHECK(missing.addresses.empty());
    CHECK_THAT(missing.problem, Catch::Contains("no such network interface"));
    CHECK(missing.error == boost::system::errc::no_such_device);
}

TEST_CASE("an address of the other family is refused", "[client][resolve]") {
    CHECK(resolve("::1", 69, address_family::ipv4).problem == "this is no IPv4 address");
    CHECK(resolve("127.0.0.1", 69, address_family::ipv6).problem == "this is no IPv6 address");
}

TEST_CASE("each address of a name appears once", "[client][resolve]") {
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

TEST_CASE("a text that is no name gives a problem, not an address", "[client][resolve]") {
    for (const char* text : {"::1:x", "1.2.3.4:80", "a b"}) {
        INFO(text);
        const resolution found = resolve(text, 69, address_family::none);
        CHECK(found.addresses.empty());
        CHECK_FALSE(found.problem.empty());
        CHECK(found.error.failed());
    }
}

TEST_CASE("a service has a port of the system's list", "[client][resolve]") {
    CHECK(resolve("127.0.0.1", "6969").addresses.front().port == 6969);
    const resolution missing = resolve("127.0.0.1", "nosuchservice");
    CHECK(missing.problem == "there is no service 'nosuchservice' over UDP");
    CHECK(missing.error == errc::unknown_host);
    if (::getservbyname("tftp", "udp") == nullptr) {
        test::skip("services(5) does not have tftp");
    }
    const resolution found = resolve("127.0.0.1", "tftp");
    REQUIRE(found.addresses.size() == 1);
    CHECK(found.addresses.front() == endpoint::ipv4(127, 0, 0, 1, 69));
}

TEST_CASE("a URL is taken apart", "[client][resolve][rfc3617]") {
    const location plain = parse_url("tftp://boothost/boot.cfg").value();
    CHECK(plain.host == "boothost");
    CHECK(plain.service == "69");
    CHECK(plain.filename == "boot.cfg");
    CHECK(plain.mode == transfer_mode::octet);

    const location all = parse_url("TFTP://[fe80::1%25eth0]:6969/a%20b/c:d;mode=netascii").value();
    CHECK(all.host == "fe80::1%eth0");
    CHECK(all.service == "6969");
    CHECK(all.filename == "a b/c:d");
    CHECK(all.mode == transfer_mode::netascii);

    CHECK(parse_url("tftp://[::1%lo]/x")->host == "::1%lo");
    CHECK(parse_url("tftp://[::1]/x")->service == "69");
    CHECK(parse_url("tftp://host:boot-srv/x:y")->service == "boot-srv");
    CHECK(parse_url("tftp://host:boot-srv/x:y")->filename == "x:y");
    CHECK(parse_url("tftp://[::1]:tftp/x")->service == "tftp");
    for (const char* const wrong :
         {"",
          "host",
          "http://host/x",
          "tftp://host",
          "tftp://host/",
          "tftp:///x",
          "tftp://h:0/x",
          "tftp://h:65536/x",
          "tftp://a:b:c/x",
          "://",
          "tftp://h:"}) {
        INFO(wrong);
        CHECK(parse_url(wrong).error() == errc::bad_uri);
    }
}
