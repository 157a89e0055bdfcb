#include "private_network.hpp"

#include <tftp/io/socket_address.hpp>
#include <tftp/io/udp_port.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

using tftp::address_family;
using tftp::bytes_view;
using tftp::endpoint;
using tftp::error_code;
using tftp::result;
using tftp::io::datagram_port;
using tftp::io::parse_endpoint;
using tftp::io::port_options;
using tftp::io::port_range;
using tftp::io::received;
using tftp::io::refusal;
using tftp::io::scratch;
using tftp::io::segmentation;
using tftp::io::udp_port;
using tftp::io::udp_port_factory;

namespace {

const endpoint loopback = endpoint::ipv4(127, 0, 0, 1, 0);
const endpoint any_ipv4 = endpoint::ipv4(0, 0, 0, 0, 0);
const endpoint unset{};

using datagram = std::vector<std::byte>;

endpoint ipv6(const char* text) {
    return parse_endpoint(text, 0).value();
}

std::unique_ptr<udp_port> open(const endpoint& local, const port_options& options = {}) {
    return udp_port::open(local, options).value();
}

/// Octets whose value tells their place.
datagram pattern(std::size_t size) {
    datagram octets(size);
    for (std::size_t i = 0; i < size; ++i) {
        octets[i] = static_cast<std::byte>(i * 31 + i / 251);
    }
    return octets;
}

/// Waits until something is to be read or reported; false after five seconds of nothing.
bool wait(const datagram_port& port) {
    ::pollfd poll{port.native_handle(), POLLIN, 0};
    return ::poll(&poll, 1, 5000) == 1;
}

struct arrival {
    datagram octets;
    endpoint from;
    endpoint to;
};

/// Takes datagrams until `count` have come or nothing comes any more.
std::vector<arrival> take(datagram_port& port, std::size_t count, std::size_t messages_max = 32) {
    scratch memory;
    std::vector<arrival> arrivals;
    while (arrivals.size() < count && wait(port)) {
        for (const received& message : port.receive_batch(memory, messages_max).value()) {
            message.for_each_datagram([&](bytes_view d) {
                arrivals.push_back({{d.begin(), d.end()}, message.from, message.to});
            });
        }
    }
    return arrivals;
}

/// Returns true when `arrivals` are `run` cut into `segment`s.
bool matches(const std::vector<arrival>& arrivals, const datagram& run, std::size_t segment) {
    datagram joined;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
        const std::size_t size = arrivals[i].octets.size();
        if (i + 1 < arrivals.size() ? size != segment : size > segment) {
            return false;
        }
        joined.insert(joined.end(), arrivals[i].octets.begin(), arrivals[i].octets.end());
    }
    return joined == run;
}

} // namespace

TEST_CASE("a run of a window arrives whole however it is sent", "[io][udp_port]") {
    const auto sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    const bool coalesce = GENERATE(true, false);
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    port_options options;
    options.coalesce = coalesce;
    options.receive_buffer = 1 << 20;
    const auto receiver = open(local, options);
    options.sends = sends;
    const auto sender = open(local, options);

    const datagram run = pattern(44 * 1432 + 77);
    const result<std::uint16_t> taken =
        sender->send_run(receiver->local_endpoint(), unset, run, 1432);
    REQUIRE(taken.value() == 45);

    const std::vector<arrival> arrivals = take(*receiver, 45);
    REQUIRE(arrivals.size() == 45);
    CHECK(matches(arrivals, run, 1432));
    for (const arrival& a : arrivals) {
        CHECK(a.from == sender->local_endpoint());
        CHECK(a.to == unset);
    }
    CHECK(sender->segments(1432) == (sends == segmentation::gso));
}

TEST_CASE("a segmented run reaches a coalescing port as one message", "[io][udp_port]") {
    port_options options;
    options.coalesce = true;
    options.receive_buffer = 1 << 20;
    const auto receiver = open(loopback, options);
    const auto sender = open(loopback);
    const datagram run = pattern(44 * 1432 + 77);
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, 1432).value() == 45);
    REQUIRE(wait(*receiver));

    scratch memory;
    const auto messages =
        receiver->receive_batch(memory, GENERATE(as<std::size_t>{}, 1, 32)).value();
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].segment == 1432);
    CHECK(std::equal(messages[0].octets.begin(), messages[0].octets.end(), run.begin(), run.end()));
}

TEST_CASE("the largest window of one send arrives whole", "[io][udp_port]") {
    port_options options;
    options.receive_buffer = 4 << 20;
    const auto receiver = open(loopback, options);
    const auto sender = open(loopback);
    const std::size_t segment = GENERATE(as<std::size_t>{}, 1023, 32, 32753, 65507);
    const datagram run = pattern(std::min<std::size_t>(64 * segment, 65507));
    const std::size_t count = (run.size() + segment - 1) / segment;
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, segment).value() == count);
    CHECK(matches(take(*receiver, count), run, segment));
}

TEST_CASE("a port whose kernel refuses to segment sends the run at once anyway", "[io][udp_port]") {
    port_options options;
    options.receive_buffer = 1 << 20;
    const auto receiver = open(loopback, options);
    const auto sender = open(loopback);
    // Without checksums the kernel does not segment: EINVAL.
    const int on = 1;
    REQUIRE(::setsockopt(sender->native_handle(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
    REQUIRE(sender->segments(1432));
    const datagram run = pattern(44 * 1432 + 77);
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, 1432).value() == 45);
    CHECK_FALSE(sender->segments(1432));
    CHECK(matches(take(*receiver, 45), run, 1432));

    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, 1432).value() == 45);
    CHECK(matches(take(*receiver, 45), run, 1432));
}

TEST_CASE(
    "segments larger than the MTU go as fragments, smaller ones still in one send", "[io][udp_port]"
) {
    bool large_arrived = false;
    bool small_arrived = false;
    bool lowered = false;
    bool small_still_segments = false;
    const bool ipv4 = GENERATE(true, false);
    const bool ran = tftp::test::in_private_network(1500, [&] {
        port_options options;
        options.receive_buffer = 1 << 20;
        const endpoint local = ipv4 ? loopback : ipv6("::1");
        const auto receiver = open(local, options);
        const auto sender = open(local);
        const datagram large = pattern(7 * 8196 + 5);
        large_arrived =
            sender->send_run(receiver->local_endpoint(), unset, large, 8196).value() == 8 &&
            matches(take(*receiver, 8), large, 8196);
        lowered = !sender->segments(8196);
        const datagram small = pattern(44 * 1432 + 77);
        small_arrived =
            sender->send_run(receiver->local_endpoint(), unset, small, 1432).value() == 45 &&
            matches(take(*receiver, 45), small, 1432);
        small_still_segments = sender->segments(1432);
    });
    if (ran) {
        CHECK(large_arrived);
        CHECK(lowered);
        CHECK(small_arrived);
        CHECK(small_still_segments);
    }
}

TEST_CASE("one datagram of any size arrives as it was", "[io][udp_port]") {
    const auto receiver = open(loopback);
    const auto sender = open(loopback);
    const std::size_t size = GENERATE(as<std::size_t>{}, 0, 1, 4, 516, 1472, 9000, 65468, 65507);
    const datagram octets = pattern(size);
    REQUIRE_FALSE(sender->send(receiver->local_endpoint(), unset, octets));
    const std::vector<arrival> arrivals = take(*receiver, 1, GENERATE(as<std::size_t>{}, 1, 32));
    REQUIRE(arrivals.size() == 1);
    CHECK(arrivals[0].octets == octets);
}

TEST_CASE("a datagram larger than UDP can carry is refused", "[io][udp_port]") {
    const auto port = open(loopback);
    const datagram octets = pattern(65508);
    CHECK(port->send(port->local_endpoint(), unset, octets) == boost::system::errc::message_size);
    CHECK(
        port->send_run(port->local_endpoint(), unset, octets, 65508).error() ==
        boost::system::errc::message_size
    );
}

TEST_CASE(
    "an error of the route is returned, not taken for a refusal to segment", "[io][udp_port]"
) {
    // Broadcast without permission: EACCES.
    const endpoint broadcast = endpoint::ipv4(255, 255, 255, 255, 9);
    const auto port = open(any_ipv4);
    const datagram run = pattern(100);
    CHECK(
        port->send_run(broadcast, unset, run, 10).error() == boost::system::errc::permission_denied
    );
    CHECK(port->segments(10));
    CHECK(port->send(broadcast, unset, run) == boost::system::errc::permission_denied);
}

TEST_CASE("a full socket buffer cuts a run short, then refuses", "[io][udp_port]") {
    const endpoint silent = endpoint::ipv4(10, 9, 9, 2, 9);
    const auto sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    const datagram run = pattern(64 * 500);
    int ethernet = -1;
    std::vector<std::uint16_t> taken;
    error_code full;
    error_code full_for_one;
    bool segments = false;
    tftp::test::in_private_network(65536, [&] {
        ethernet = tftp::test::add_silent_ethernet();
        if (ethernet < 0) {
            return;
        }
        port_options options;
        options.sends = sends;
        const auto port = open(endpoint::ipv4(10, 9, 9, 1, 0), options);
        const int size = 16 * 1024;
        ::setsockopt(port->native_handle(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        while (!full && taken.size() < 1000) {
            const result<std::uint16_t> count = port->send_run(silent, unset, run, 500);
            if (count) {
                taken.push_back(*count);
            } else {
                full = count.error();
            }
        }
        full_for_one = port->send(silent, unset, run);
        segments = port->segments(500);
        ::close(ethernet);
    });
    if (ethernet < 0) {
        WARN("no Ethernet of our own: needs /dev/net/tun");
        return;
    }
    CHECK(full == boost::system::errc::operation_would_block);
    CHECK(full_for_one == boost::system::errc::operation_would_block);
    REQUIRE_FALSE(taken.empty());
    CHECK(segments == (sends == segmentation::gso));
    if (sends == segmentation::gso) {
        // One buffer: it is taken whole or not at all.
        CHECK(taken.back() == 64);
    } else {
        CHECK(taken.back() > 0);
        CHECK(taken.back() < 64);
    }
}

TEST_CASE(
    "a batch takes no more messages than asked for, and none when there are none", "[io][udp_port]"
) {
    const auto receiver = open(loopback);
    const auto sender = open(loopback);
    scratch memory;
    CHECK(receiver->receive_batch(memory, 1).value().empty());
    CHECK(receiver->receive_batch(memory, 32).value().empty());

    for (std::size_t i = 0; i < 5; ++i) {
        REQUIRE_FALSE(sender->send(receiver->local_endpoint(), unset, pattern(10 + i)));
    }
    std::vector<std::size_t> sizes;
    std::vector<std::size_t> batches;
    for (const std::size_t messages_max : {3U, 1U, 32U}) {
        REQUIRE(wait(*receiver));
        const auto messages = receiver->receive_batch(memory, messages_max).value();
        batches.push_back(messages.size());
        for (const received& message : messages) {
            sizes.push_back(message.octets.size());
        }
    }
    CHECK(batches == std::vector<std::size_t>{3, 1, 1});
    CHECK(sizes == std::vector<std::size_t>{10, 11, 12, 13, 14});
}

TEST_CASE("a wildcard port answers from the address that was asked", "[io][udp_port]") {
    port_options options;
    options.local_addresses = true;
    options.receive_buffer = 1 << 20;
    options.sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    const auto server = open(any_ipv4, options);
    const auto client = open(loopback, options);
    endpoint asked = endpoint::ipv4(127, 0, 0, 2, server->local_endpoint().port);

    REQUIRE_FALSE(client->send(asked, unset, pattern(20)));
    const std::vector<arrival> requests = take(*server, 1);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].from == client->local_endpoint());
    CHECK(requests[0].to == asked.with_port(0));

    const datagram run = pattern(44 * 1432 + 77);
    REQUIRE(server->send_run(requests[0].from, requests[0].to, run, 1432).value() == 45);
    REQUIRE_FALSE(server->send(requests[0].from, requests[0].to, pattern(4)));
    std::vector<arrival> answers = take(*client, 46);
    REQUIRE(answers.size() == 46);
    for (const arrival& a : answers) {
        CHECK(a.from == asked);
    }
    answers.pop_back();
    CHECK(matches(answers, run, 1432));
    CHECK(server->segments(1432) == (options.sends == segmentation::gso));
}

TEST_CASE("an IPv6 wildcard port answers from the address that was asked", "[io][udp_port]") {
    const char* const second = "fd00::2";
    std::vector<arrival> requests;
    std::vector<arrival> answers;
    endpoint asked;
    const datagram run = pattern(9 * 1000 + 1);
    const bool ran = tftp::test::in_private_network(1500, [&] {
        const endpoint added = ipv6(second);
        ::in6_addr address{};
        std::memcpy(&address, added.address.data(), sizeof address);
        if (!tftp::test::add_loopback_address(address)) {
            return;
        }
        port_options options;
        options.local_addresses = true;
        const auto server = open(ipv6("::"), options);
        const auto client = open(ipv6("::1"), options);
        asked = added.with_port(server->local_endpoint().port);
        if (!client->send(asked, unset, pattern(20))) {
            requests = take(*server, 1);
        }
        if (requests.size() == 1 &&
            server->send_run(requests[0].from, requests[0].to, run, 1000).has_value()) {
            answers = take(*client, 10);
        }
    });
    if (ran) {
        REQUIRE(requests.size() == 1);
        CHECK(requests[0].to == asked.with_port(0));
        REQUIRE(answers.size() == 10);
        CHECK(matches(answers, run, 1000));
        for (const arrival& a : answers) {
            CHECK(a.from == asked);
        }
    }
}

TEST_CASE("an IPv6 port reports the address asked and its sender", "[io][udp_port]") {
    port_options options;
    options.local_addresses = true;
    const auto server = open(ipv6("::"), options);
    const auto client = open(ipv6("::1"));
    REQUIRE_FALSE(
        client->send(ipv6("::1").with_port(server->local_endpoint().port), unset, pattern(20))
    );
    const std::vector<arrival> requests = take(*server, 1);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].to == ipv6("::1"));
    CHECK(requests[0].from == client->local_endpoint());
    REQUIRE_FALSE(server->send(requests[0].from, requests[0].to, pattern(4)));
    CHECK(take(*client, 1).size() == 1);
}

TEST_CASE("a broadcast request shows the broadcast address as its destination", "[io][udp_port]") {
    port_options options;
    options.local_addresses = true;
    const auto server = open(any_ipv4, options);
    const auto client = open(loopback);
    const int on = 1;
    REQUIRE(::setsockopt(client->native_handle(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
    const endpoint broadcast = endpoint::ipv4(127, 255, 255, 255, server->local_endpoint().port);
    REQUIRE_FALSE(client->send(broadcast, unset, pattern(20)));
    const std::vector<arrival> requests = take(*server, 1);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].to == broadcast.with_port(0));
}

TEST_CASE("an ICMP refusal names the destination that refused", "[io][udp_port]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    port_options options;
    options.refusals = true;
    const auto port = open(local, options);
    CHECK_FALSE(port->next_refusal().has_value());

    // Bound without a reader and closed: nobody listens there now.
    const endpoint closed = open(local)->local_endpoint();
    REQUIRE_FALSE(port->send(closed, unset, pattern(20)));
    REQUIRE(wait(*port));
    scratch memory;
    const auto outcome = port->receive_batch(memory, 1);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == boost::system::errc::connection_refused);

    const std::optional<refusal> refused = port->next_refusal();
    REQUIRE(refused.has_value());
    CHECK(refused->to == closed);
    CHECK(refused->why == boost::system::errc::connection_refused);
    CHECK_FALSE(port->next_refusal().has_value());
    CHECK(port->receive_batch(memory, 1).value().empty());
}

TEST_CASE(
    "refusals wait in order, and the port works again once they are taken", "[io][udp_port]"
) {
    port_options options;
    options.refusals = true;
    const auto port = open(loopback, options);
    const auto peer = open(loopback);
    const endpoint first = open(loopback)->local_endpoint();
    const endpoint second = open(endpoint::ipv4(127, 0, 0, 3, 0))->local_endpoint();
    REQUIRE_FALSE(port->send(first, unset, pattern(20)));
    REQUIRE(wait(*port));
    // The refusal that waits is reported once, by whichever call comes first.
    CHECK(port->send(second, unset, pattern(20)) == boost::system::errc::connection_refused);
    REQUIRE_FALSE(port->send(second, unset, pattern(20)));

    CHECK(port->next_refusal().value().to == first);
    CHECK(port->next_refusal().value().to == second);
    CHECK_FALSE(port->next_refusal().has_value());
    REQUIRE_FALSE(port->send(peer->local_endpoint(), unset, pattern(20)));
    CHECK(take(*peer, 1).size() == 1);
}

TEST_CASE("a port opened without refusals never hears of them", "[io][udp_port]") {
    const auto port = open(loopback);
    const endpoint closed = open(loopback)->local_endpoint();
    scratch memory;
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(port->send(closed, unset, pattern(20)));
        CHECK(port->receive_batch(memory, 1).value().empty());
    }
    CHECK_FALSE(port->next_refusal().has_value());
}

TEST_CASE("an address that is taken is reported, shared or not", "[io][udp_port]") {
    const auto first = open(loopback);
    const endpoint taken = first->local_endpoint();
    CHECK(udp_port::open(taken, {}).error() == boost::system::errc::address_in_use);
    CHECK(udp_port::open_shared(*first, {}).error() == boost::system::errc::address_in_use);
    CHECK(
        udp_port::open(any_ipv4.with_port(taken.port), {}).error() ==
        boost::system::errc::address_in_use
    );

    REQUIRE_FALSE(first->share());
    const auto second = udp_port::open_shared(*first, {}).value();
    CHECK(second->local_endpoint() == taken);
    // Sharing is between those two: a stranger still finds it taken.
    CHECK(udp_port::open(taken, {}).error() == boost::system::errc::address_in_use);
}

TEST_CASE("peers spread over the sockets of a shared port, each on one", "[io][udp_port]") {
    const auto first = open(loopback);
    REQUIRE_FALSE(first->share());
    const auto second = udp_port::open_shared(*first, {}).value();
    std::vector<std::unique_ptr<udp_port>> peers;
    for (int i = 0; i < 32; ++i) {
        peers.push_back(open(loopback));
        for (int k = 0; k < 2; ++k) {
            REQUIRE_FALSE(peers.back()->send(first->local_endpoint(), unset, pattern(20)));
        }
    }
    std::map<endpoint, int, decltype([](const endpoint& a, const endpoint& b) {
                 return a.port < b.port;
             })>
        at_first;
    scratch memory;
    std::size_t total = 0;
    for (int round = 0; round < 2; ++round) {
        for (const received& m : first->receive_batch(memory, 32).value()) {
            ++at_first[m.from];
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

TEST_CASE("two ephemeral ports differ", "[io][udp_port]") {
    udp_port_factory factory;
    std::set<std::uint16_t> ports;
    std::vector<std::unique_ptr<datagram_port>> opened;
    for (int i = 0; i < 100; ++i) {
        opened.push_back(factory.open(loopback, {}).value());
        ports.insert(opened.back()->local_endpoint().port);
    }
    CHECK(ports.size() == 100);
    CHECK(ports.count(0) == 0);
}

TEST_CASE("both families take the same port side by side", "[io][udp_port]") {
    const auto v4 = open(any_ipv4);
    const std::uint16_t port = v4->local_endpoint().port;
    const auto v6 = udp_port::open(ipv6("::").with_port(port), {});
    REQUIRE(v6.has_value());
    CHECK((*v6)->local_endpoint().port == port);
}

TEST_CASE("ports of a range come from it, each once, until none is left", "[io][udp_port]") {
    const auto holder = open(endpoint::ipv4(127, 91, 7, 3, 0));
    const endpoint local = holder->local_endpoint().with_port(0);
    const std::uint16_t taken = holder->local_endpoint().port;
    const port_range range{
        static_cast<std::uint16_t>(taken - 5), static_cast<std::uint16_t>(taken + 4)};
    udp_port_factory factory(range);
    std::set<std::uint16_t> ports;
    std::vector<std::unique_ptr<datagram_port>> opened;
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
    "a range of one port serves one socket; a port asked for is not moved", "[io][udp_port]"
) {
    const endpoint local = endpoint::ipv4(127, 91, 7, 4, 0);
    const auto holder = open(local);
    const std::uint16_t taken = holder->local_endpoint().port;
    udp_port_factory factory(port_range{taken, taken});
    CHECK(factory.open(local, {}).error() == boost::system::errc::address_in_use);
    CHECK(
        factory.open(holder->local_endpoint(), {}).error() == boost::system::errc::address_in_use
    );
    CHECK(
        factory.open(endpoint::ipv4(127, 91, 7, 5, 0), {}).value()->local_endpoint().port == taken
    );
}

TEST_CASE("the search of a range starts at random", "[io][udp_port]") {
    udp_port_factory factory(port_range{10000, 60000});
    std::set<std::uint16_t> distances;
    std::uint16_t last = 0;
    for (int i = 0; i < 8; ++i) {
        const auto port = factory.open(endpoint::ipv4(127, 91, 7, 6, 0), {}).value();
        distances.insert(static_cast<std::uint16_t>(port->local_endpoint().port - last));
        last = port->local_endpoint().port;
    }
    CHECK(distances.size() > 4);
}

TEST_CASE("the receive buffer that was granted is told", "[io][udp_port]") {
    port_options options;
    options.receive_buffer = 64 * 1024;
    CHECK(open(loopback, options)->receive_buffer() == 2 * 64 * 1024);
    CHECK(open(loopback)->receive_buffer() > 0);
}

TEST_CASE("a port without family, or at an address of nobody, does not open", "[io][udp_port]") {
    CHECK(
        udp_port::open(endpoint{}, {}).error() == boost::system::errc::address_family_not_supported
    );
    CHECK(
        udp_port::open(endpoint::ipv4(192, 0, 2, 1, 0), {}).error() ==
        boost::system::errc::address_not_available
    );
}

TEST_CASE("a bound socket of someone else's making is taken over", "[io][udp_port]") {
    using tftp::io::socket_address;
    using tftp::io::unique_fd;
    unique_fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const socket_address address(loopback);
    REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
    const auto port = udp_port::adopt(std::move(socket), {}).value();
    CHECK(port->local_endpoint().port != 0);
    // The descriptor blocks, the port does not.
    scratch memory;
    CHECK(port->receive_batch(memory, 1).value().empty());
    CHECK(port->receive_batch(memory, 32).value().empty());

    CHECK_FALSE(udp_port::adopt(unique_fd(), {}).has_value());
    CHECK(
        udp_port::adopt(unique_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), {}).error() ==
        boost::system::errc::invalid_argument
    );
    CHECK(
        udp_port::adopt(unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), {}).error() ==
        boost::system::errc::invalid_argument
    );
    unique_fd dual(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    REQUIRE(::setsockopt(dual.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    const socket_address wildcard(ipv6("::"));
    REQUIRE(::bind(dual.get(), wildcard.data(), wildcard.size()) == 0);
    CHECK(udp_port::adopt(std::move(dual), {}).error() == boost::system::errc::invalid_argument);
}
