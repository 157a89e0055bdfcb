#include "private_network.hpp"

#include <tftp/socket/route_table.hpp>
#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <chrono>

using std::chrono::milliseconds;
using tftp::address_family;
using tftp::blksize_for_mtu;
using tftp::endpoint;
using tftp::parse_endpoint;
using tftp::route_mtu;
using tftp::route_table;
using tftp::time_point;

TEST_CASE("the largest unfragmented blksize follows from the MTU", "[io][route][rfc2348]") {
    CHECK(blksize_for_mtu(1500, address_family::ipv4) == 1468);
    CHECK(blksize_for_mtu(1500, address_family::ipv6) == 1448);
    CHECK(blksize_for_mtu(1280, address_family::ipv6) == 1228);
    CHECK(blksize_for_mtu(9000, address_family::ipv4) == 8968);
}

TEST_CASE("the blksize for an MTU stays in the range of the option", "[io][route][rfc2348]") {
    CHECK(blksize_for_mtu(65535, address_family::ipv4) == 65464);
    CHECK(blksize_for_mtu(65536, address_family::ipv6) == 65464);
    CHECK(blksize_for_mtu(0xffffffff, address_family::ipv4) == 65464);
    CHECK(blksize_for_mtu(68, address_family::ipv4) == 36);
    CHECK(blksize_for_mtu(40, address_family::ipv4) == 8);
    CHECK(blksize_for_mtu(0, address_family::ipv4) == 8);
    CHECK(blksize_for_mtu(0, address_family::ipv6) == 8);
}

namespace {

// The loopback interface takes 65536 bytes, of which an IPv4 packet can use 65535.
constexpr std::uint32_t loopback_ipv4 = 65535;
constexpr std::uint32_t loopback_ipv6 = 65536;

} // namespace

TEST_CASE("the loopback route tells its MTU", "[io][route]") {
    CHECK(route_mtu(endpoint::ipv4(127, 0, 0, 1, 69)).value() == loopback_ipv4);
    CHECK(route_mtu(endpoint::ipv4(127, 0, 0, 1, 0)).value() == loopback_ipv4);
    if (tftp::test::has_ipv6()) {
        CHECK(route_mtu(parse_endpoint("::1", 69).value()).value() == loopback_ipv6);
    }
}

TEST_CASE("a probe answers for one destination after another", "[io][route]") {
    tftp::test::need_ipv6();
    route_table probe;
    for (std::uint8_t i = 1; i < 4; ++i) {
        CHECK(probe.mtu(endpoint::ipv4(127, 0, 0, i, 69), {}).value() == loopback_ipv4);
        CHECK(probe.mtu(parse_endpoint("::1", 69).value(), {}).value() == loopback_ipv6);
    }
}

TEST_CASE("a destination without family or route is an error", "[io][route]") {
    CHECK_FALSE(route_mtu(endpoint{}).has_value());
    tftp::error_code error;
    std::uint32_t mtu = 0;
    tftp::test::in_private_network(1400, [&] {
        route_table probe;
        mtu = probe.mtu(endpoint::ipv4(127, 0, 0, 1, 69), {}).value();
        // Asked after one with a route, whose source address must not linger.
        error = probe.mtu(endpoint::ipv4(192, 0, 2, 1, 69), {}).error();
    });
    CHECK(mtu == 1400);
    CHECK(error == boost::system::errc::network_unreachable);
}

TEST_CASE("a probe keeps an answer for a while, for each host", "[io][route]") {
    const time_point begin{};
    const endpoint host = endpoint::ipv4(127, 0, 0, 1, 69);
    std::uint32_t other_port = 0;
    std::uint32_t other_host = 0;
    std::uint32_t later = 0;
    tftp::test::in_private_network(1400, [&] {
        route_table probe;
        static_cast<void>(probe.mtu(host, begin));
        tftp::test::set_up_loopback(1300);
        const time_point last = begin + route_table::kept_for - milliseconds(1);
        other_port = probe.mtu(host.with_port(70), last).value();
        other_host = probe.mtu(endpoint::ipv4(127, 0, 0, 2, 69), last).value();
        later = probe.mtu(host, begin + route_table::kept_for).value();
    });
    CHECK(other_port == 1400);
    CHECK(other_host == 1300);
    CHECK(later == 1300);
}

TEST_CASE("a probe follows when this host changes its address", "[io][route]") {
    int ethernet = -1;
    tftp::result<std::uint32_t> before = tftp::error_code();
    tftp::result<std::uint32_t> after = tftp::error_code();
    tftp::test::in_private_network(65536, [&] {
        ethernet = tftp::test::add_silent_ethernet();
        route_table probe;
        before = probe.mtu(endpoint::ipv4(10, 9, 9, 2, 69), {});
        if (tftp::test::set_ipv4_address("silent", 0x0a090801)) {
            after = probe.mtu(endpoint::ipv4(10, 9, 8, 2, 69), {});
        }
        ::close(ethernet);
    });
    tftp::test::need_ethernet(ethernet);
    CHECK(before.value() == 1500);
    CHECK(after.value() == 1500);
}
