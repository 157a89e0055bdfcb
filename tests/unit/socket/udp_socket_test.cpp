#include "private_network.hpp"
#include "udp_support.hpp"

#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include <sys/socket.h>

using namespace tftp::test;
using tftp::endpoint;
using tftp::error_code;
using tftp::received;
using tftp::refusal;
using tftp::result;
using tftp::scratch;
using tftp::segmentation;
using tftp::socket_options;

TEST_CASE("a run of a window arrives whole however it is sent", "[io][udp_socket]") {
    const auto sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    const bool coalesce = GENERATE(true, false);
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    socket_options options;
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

TEST_CASE("a segmented run reaches a coalescing port as one message", "[io][udp_socket]") {
    socket_options options;
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
    CHECK(std::equal(messages[0].bytes.begin(), messages[0].bytes.end(), run.begin(), run.end()));
}

TEST_CASE("the largest window of one send arrives whole", "[io][udp_socket]") {
    socket_options options;
    options.receive_buffer = 4 << 20;
    const auto receiver = open(loopback, options);
    const auto sender = open(loopback);
    const std::size_t segment = GENERATE(as<std::size_t>{}, 1023, 32, 32753, 65507);
    const datagram run = pattern(std::min<std::size_t>(64 * segment, 65507));
    const std::size_t count = (run.size() + segment - 1) / segment;
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, segment).value() == count);
    CHECK(matches(take(*receiver, count), run, segment));
}

TEST_CASE(
    "a port whose kernel refuses to segment sends the run at once anyway", "[io][udp_socket]"
) {
    socket_options options;
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
    "segments larger than the MTU go as fragments, smaller ones still in one send",
    "[io][udp_socket]"
) {
    bool large_arrived = false;
    bool small_arrived = false;
    bool lowered = false;
    bool small_still_segments = false;
    const bool ipv4 = GENERATE(true, false);
    in_private_network(1500, [&] {
        socket_options options;
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
    CHECK(large_arrived);
    CHECK(lowered);
    CHECK(small_arrived);
    CHECK(small_still_segments);
}

TEST_CASE("one datagram of any size arrives as it was", "[io][udp_socket]") {
    const auto receiver = open(loopback);
    const auto sender = open(loopback);
    const std::size_t size = GENERATE(as<std::size_t>{}, 0, 1, 4, 516, 1472, 9000, 65468, 65507);
    const datagram bytes = pattern(size);
    REQUIRE_FALSE(sender->send(receiver->local_endpoint(), unset, bytes));
    const std::vector<arrival> arrivals = take(*receiver, 1, GENERATE(as<std::size_t>{}, 1, 32));
    REQUIRE(arrivals.size() == 1);
    CHECK(arrivals[0].bytes == bytes);
}

TEST_CASE("a datagram larger than UDP can carry is refused", "[io][udp_socket]") {
    const auto port = open(loopback);
    const datagram bytes = pattern(65508);
    CHECK(port->send(port->local_endpoint(), unset, bytes) == boost::system::errc::message_size);
    CHECK(
        port->send_run(port->local_endpoint(), unset, bytes, 65508).error() ==
        boost::system::errc::message_size
    );
}

TEST_CASE(
    "an error of the route is returned, not taken for a refusal to segment", "[io][udp_socket]"
) {
    // Broadcast without permission: EACCES. To a network that every host has.
    const endpoint broadcast = endpoint::ipv4(127, 255, 255, 255, 9);
    const auto port = open(any_ipv4);
    const datagram run = pattern(100);
    CHECK(
        port->send_run(broadcast, unset, run, 10).error() == boost::system::errc::permission_denied
    );
    CHECK(port->segments(10));
    CHECK(port->send(broadcast, unset, run) == boost::system::errc::permission_denied);
}

TEST_CASE("a full socket buffer cuts a run short, then refuses", "[io][udp_socket]") {
    const endpoint silent = endpoint::ipv4(10, 9, 9, 2, 9);
    const auto sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    const datagram run = pattern(std::size_t{64} * 500);
    int ethernet = -1;
    std::vector<std::uint16_t> taken;
    error_code full;
    error_code full_for_one;
    bool segments = false;
    in_private_network(65536, [&] {
        ethernet = add_silent_ethernet();
        if (ethernet < 0) {
            return;
        }
        socket_options options;
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
    need_ethernet(ethernet);
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
    "a batch takes no more messages than asked for, and none when there are none",
    "[io][udp_socket]"
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
            sizes.push_back(message.bytes.size());
        }
    }
    CHECK(batches == std::vector<std::size_t>{3, 1, 1});
    CHECK(sizes == std::vector<std::size_t>{10, 11, 12, 13, 14});
}

TEST_CASE("a port tells how long a datagram has waited in it", "[io][udp_socket]") {
    using std::chrono::steady_clock;
    constexpr auto rest = std::chrono::milliseconds(20);
    // The clock of the stamps may be slewed meanwhile.
    constexpr auto slack = std::chrono::milliseconds(1);
    socket_options options;
    options.waiting_times = GENERATE(true, false);
    const auto receiver = open(loopback, options);
    const auto sender = open(loopback);
    scratch memory;
    const auto begun = steady_clock::now();
    tftp::duration waited{};
    // The system begins to stamp a moment after the first port has asked for it.
    do {
        const auto before = steady_clock::now();
        REQUIRE_FALSE(sender->send(receiver->local_endpoint(), unset, pattern(10)));
        const auto sent = steady_clock::now();
        while (steady_clock::now() < sent + rest) {
        }
        REQUIRE(wait(*receiver));
        const auto messages = receiver->receive_batch(memory, 4).value();
        REQUIRE(messages.size() == 1);
        waited = messages[0].waited;
        CHECK(waited <= steady_clock::now() - before + slack);
    } while (options.waiting_times && waited < rest - slack &&
             steady_clock::now() < begun + std::chrono::seconds(10));
    CHECK((waited >= rest - slack) == options.waiting_times);
    CHECK((waited > tftp::duration::zero()) == options.waiting_times);
}

TEST_CASE("a wildcard port answers from the address that was asked", "[io][udp_socket]") {
    socket_options options;
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

TEST_CASE("an IPv6 wildcard port answers from the address that was asked", "[io][udp_socket]") {
    const char* const second = "fd00::2";
    std::vector<arrival> requests;
    std::vector<arrival> answers;
    endpoint asked;
    const datagram run = pattern(9 * 1000 + 1);
    in_private_network(1500, [&] {
        const endpoint added = ipv6(second);
        ::in6_addr address{};
        std::memcpy(&address, added.address.data(), sizeof address);
        if (!add_loopback_address(address)) {
            return;
        }
        socket_options options;
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
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].to == asked.with_port(0));
    REQUIRE(answers.size() == 10);
    CHECK(matches(answers, run, 1000));
    for (const arrival& a : answers) {
        CHECK(a.from == asked);
    }
}

TEST_CASE("an IPv6 port reports the address asked and its sender", "[io][udp_socket]") {
    need_ipv6();
    socket_options options;
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

TEST_CASE(
    "a broadcast request shows the broadcast address as its destination", "[io][udp_socket]"
) {
    socket_options options;
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

TEST_CASE("an ICMP refusal names the destination that refused", "[io][udp_socket]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    socket_options options;
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
    "refusals wait in order, and the port works again once they are taken", "[io][udp_socket]"
) {
    socket_options options;
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

TEST_CASE("a port opened without refusals never hears of them", "[io][udp_socket]") {
    const auto port = open(loopback);
    const endpoint closed = open(loopback)->local_endpoint();
    scratch memory;
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(port->send(closed, unset, pattern(20)));
        CHECK(port->receive_batch(memory, 1).value().empty());
    }
    CHECK_FALSE(port->next_refusal().has_value());
}
