#include "udp_support.hpp"

#include <tftp/socket/socket_address.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <sys/socket.h>

using namespace tftp::test;
using tftp::datagram_socket;
using tftp::endpoint;
using tftp::error_code;
using tftp::port_range;
using tftp::received;
using tftp::scratch;
using tftp::socket_address;
using tftp::socket_options;
using tftp::udp_socket;
using tftp::udp_socket_factory;
using tftp::unique_fd;

TEST_CASE("an address that is taken is reported, shared or not", "[io][udp_socket]") {
    const auto first = open(loopback);
    const endpoint taken = first->local_endpoint();
    CHECK(udp_socket::open(taken, {}).error() == boost::system::errc::address_in_use);
    CHECK(udp_socket::open_shared(*first, {}).error() == boost::system::errc::address_in_use);
    CHECK(
        udp_socket::open(any_ipv4.with_port(taken.port), {}).error() ==
        boost::system::errc::address_in_use
    );

    REQUIRE_FALSE(first->share());
    const auto second = udp_socket::open_shared(*first, {}).value();
    CHECK(second->local_endpoint() == taken);
    // Sharing is between those two: a stranger still finds it taken.
    CHECK(udp_socket::open(taken, {}).error() == boost::system::errc::address_in_use);
}

TEST_CASE("peers spread over the sockets of a shared port, each on one", "[io][udp_socket]") {
    const auto first = open(loopback);
    REQUIRE_FALSE(first->share());
    const auto second = udp_socket::open_shared(*first, {}).value();
    std::vector<std::unique_ptr<udp_socket>> peers;
    for (int i = 0; i < 32; ++i) {
        peers.push_back(open(loopback));
        for (int k = 0; k < 2; ++k) {
            REQUIRE_FALSE(peers.back()->send(first->local_endpoint(), unset, pattern(20)));
        }
    }
    std::map<std::uint16_t, int> at_first;
    scratch memory;
    std::size_t total = 0;
    for (int round = 0; round < 2; ++round) {
        for (const received& m : first->receive_batch(memory, 32).value()) {
            ++at_first[m.from.port];
            ++total;
        }
    }
    for (const auto& [peer, count] : at_first) {
        CHECK(count == 2);
    }
    // 32 peers all on one side: 1 chance in 2^31.
    CHECK(total > 0);
    CHECK(total < 64);
    CHECK(take(*second, 64 - total).size() == 64 - total);
}

TEST_CASE("two ephemeral ports differ", "[io][udp_socket]") {
    udp_socket_factory factory;
    std::set<std::uint16_t> ports;
    std::vector<std::unique_ptr<datagram_socket>> opened;
    for (int i = 0; i < 100; ++i) {
        opened.push_back(factory.open(loopback, {}).value());
        ports.insert(opened.back()->local_endpoint().port);
    }
    CHECK(ports.size() == 100);
    CHECK(ports.count(0) == 0);
}

TEST_CASE("both families take the same port side by side", "[io][udp_socket]") {
    const auto v4 = open(any_ipv4);
    const std::uint16_t port = v4->local_endpoint().port;
    const auto v6 = udp_socket::open(ipv6("::").with_port(port), {});
    REQUIRE(v6.has_value());
    CHECK((*v6)->local_endpoint().port == port);
}

TEST_CASE("ports of a range come from it, each once, until none is left", "[io][udp_socket]") {
    const auto holder = open(endpoint::ipv4(127, 91, 7, 3, 0));
    const endpoint local = holder->local_endpoint().with_port(0);
    const std::uint16_t taken = holder->local_endpoint().port;
    const port_range range{
        static_cast<std::uint16_t>(taken - 5), static_cast<std::uint16_t>(taken + 4)};
    udp_socket_factory factory(range);
    std::set<std::uint16_t> ports;
    std::vector<std::unique_ptr<datagram_socket>> opened;
    error_code error;
    while (!error && opened.size() < 10) {
        auto port = factory.open(local, {});
        if (port) {
            opened.push_back(std::move(*port));
            ports.insert(opened.back()->local_endpoint().port);
        } else {
            error = port.error();
        }
    }
    CHECK(error == boost::system::errc::address_in_use);
    // A stranger's wildcard port may hold some of them, but hardly half.
    CHECK(opened.size() >= 5);
    CHECK(ports.size() == opened.size());
    CHECK(*ports.begin() >= range.first);
    CHECK(*ports.rbegin() <= range.last);
    CHECK(ports.count(taken) == 0);
}

TEST_CASE(
    "a range of one port serves one socket; a port asked for is not moved", "[io][udp_socket]"
) {
    const endpoint local = endpoint::ipv4(127, 91, 7, 4, 0);
    const auto holder = open(local);
    const std::uint16_t taken = holder->local_endpoint().port;
    udp_socket_factory factory(port_range{taken, taken});
    CHECK(factory.open(local, {}).error() == boost::system::errc::address_in_use);
    CHECK(
        factory.open(holder->local_endpoint(), {}).error() == boost::system::errc::address_in_use
    );
    CHECK(
        factory.open(endpoint::ipv4(127, 91, 7, 5, 0), {}).value()->local_endpoint().port == taken
    );
}

TEST_CASE("the search of a range starts at random", "[io][udp_socket]") {
    udp_socket_factory factory(port_range{10000, 60000});
    std::set<std::uint16_t> distances;
    std::uint16_t last = 0;
    for (int i = 0; i < 8; ++i) {
        const auto port = factory.open(endpoint::ipv4(127, 91, 7, 6, 0), {}).value();
        distances.insert(static_cast<std::uint16_t>(port->local_endpoint().port - last));
        last = port->local_endpoint().port;
    }
    CHECK(distances.size() > 4);
}

TEST_CASE("the receive buffer that was granted is told", "[io][udp_socket]") {
    const std::size_t usual = open(loopback)->receive_buffer();
    CHECK(usual > 0);
    socket_options options;
    options.receive_buffer = usual / 2 + 4096;
    CHECK(open(loopback, options)->receive_buffer() == 2 * options.receive_buffer);
    // A small window is no reason to take away what the system gives everybody.
    options.receive_buffer = 4096;
    CHECK(open(loopback, options)->receive_buffer() == usual);
}

TEST_CASE("a port without family, or at an address of nobody, does not open", "[io][udp_socket]") {
    CHECK(
        udp_socket::open(endpoint{}, {}).error() ==
        boost::system::errc::address_family_not_supported
    );
    CHECK(
        udp_socket::open(endpoint::ipv4(192, 0, 2, 1, 0), {}).error() ==
        boost::system::errc::address_not_available
    );
}

TEST_CASE("a bound socket of someone else's making is taken over", "[io][udp_socket]") {
    unique_fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const socket_address address(loopback);
    REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
    const auto port = udp_socket::adopt(std::move(socket), {}).value();
    CHECK(port->local_endpoint().port != 0);
    // The descriptor blocks, the port does not.
    scratch memory;
    CHECK(port->receive_batch(memory, 1).value().empty());
    CHECK(port->receive_batch(memory, 32).value().empty());

    CHECK_FALSE(udp_socket::adopt(unique_fd(), {}).has_value());
    CHECK(
        udp_socket::adopt(unique_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), {}).error() ==
        boost::system::errc::invalid_argument
    );
    CHECK(
        udp_socket::adopt(unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), {})
            .error() == boost::system::errc::invalid_argument
    );
}

TEST_CASE("an IPv6 socket that carries IPv4 too is not taken over", "[io][udp_socket]") {
    unique_fd dual(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    REQUIRE(::setsockopt(dual.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    const socket_address wildcard(ipv6("::"));
    REQUIRE(::bind(dual.get(), wildcard.data(), wildcard.size()) == 0);
    const auto port = udp_socket::adopt(std::move(dual), {});
    CHECK(port.error() == boost::system::errc::invalid_argument);
}
