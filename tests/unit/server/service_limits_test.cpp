#include "support/builders.hpp"
#include "support/sim_world.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// What a service gives away at most, and to whom.
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Many ports of one client.
std::vector<std::unique_ptr<sim_port>> ports_of(sim_world& w, std::uint16_t count) {
    std::vector<std::unique_ptr<sim_port>> out;
    for (std::uint16_t n = 0; n < count; ++n) {
        out.push_back(w.peer(static_cast<std::uint16_t>(2000 + n)));
    }
    return out;
}

/// Returns how many of the ports got something.
std::size_t answered(std::vector<std::unique_ptr<sim_port>>& ports) {
    std::size_t count = 0;
    for (const auto& port : ports) {
        count += port->take() ? 1U : 0U;
    }
    return count;
}

bool is_error(const std::optional<sim_datagram>& got, peer_errc code) {
    return got && got->octets.size() > 4 && got->octets[1] == std::byte{5} &&
           got->octets[3] == static_cast<std::byte>(code);
}

} // namespace

TEST_CASE("one client has no more transfers than it may", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.transfers_per_client_max = 2;
    sim_world w(config);
    w.files.set("file", std::string(1000, 'x'));
    auto greedy = ports_of(w, 3);
    std::vector<endpoint> tids;
    for (std::size_t i = 0; i < 2; ++i) {
        w.say(*greedy[i], rrq("file"));
        tids.push_back(greedy[i]->take().value().from);
        w.say(*greedy[i], ack(1), tids[i]);
    }
    w.say(*greedy[2], rrq("file"));
    CHECK(w.serving->running() == 2);
    CHECK(is_error(greedy[2]->take(), peer_errc::undefined));
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::client_overloaded);
    // Another address is none of its business.
    const auto other = w.network.open(endpoint::ipv4(192, 0, 2, 9, 2000));
    w.say(*other, rrq("file"));
    CHECK(w.serving->running() == 3);
    // And one that ended makes room.
    w.say(*greedy[0], ack(2), tids[0]);
    w.say(*greedy[2], rrq("file"));
    CHECK(w.serving->running() == 3);
}

TEST_CASE("what a client never answered makes room for it", "[driver][service][limits]") {
    const bool write = GENERATE(false, true);
    service_config config = sim_config();
    config.limits.transfers_per_client_max = 2;
    sim_world w(config);
    w.files.set("file", std::string(1000, 'x'));
    auto forged = ports_of(w, 2);
    for (const auto& port : forged) {
        w.say(*port, write ? wrq("upload") : rrq("file"));
    }
    const auto victim = w.peer(3000);
    w.say(*victim, rrq("file"));
    const auto answer = victim->take();
    REQUIRE(answer);
    CHECK(answer->octets[1] == std::byte{3});
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::crowded_out);
    CHECK(w.finished.all[0].peer == forged[0]->local_endpoint());
    // What is under way does not.
    w.say(*victim, ack(1), answer->from);
    for (int i = 0; i < 5; ++i) {
        w.say(*w.peer(static_cast<std::uint16_t>(4000 + i)), rrq("file"));
    }
    CHECK(victim->take());
    w.say(*victim, ack(2), answer->from);
    CHECK_FALSE(w.finished.all.back().outcome);
}

TEST_CASE("whoever has acknowledged data keeps its place", "[driver][service][limits]") {
    // A forged ACK 0 makes no transfer of a request.
    const bool by_total = GENERATE(false, true);
    service_config config = sim_config();
    (by_total ? config.limits.transfers_max : config.limits.half_open_max) = 3;
    sim_world w(config);
    w.files.set("file", std::string(2000, 'x'));
    const auto good = w.peer(2000);
    w.say(*good, rrq("file"));
    const endpoint tid = good->take().value().from;
    w.say(*good, ack(1), tid);
    REQUIRE(good->take());
    const option_pairs options{{"blksize", "1000"}};
    std::vector<std::unique_ptr<sim_port>> flood;
    for (std::uint8_t n = 1; n <= 50; ++n) {
        flood.push_back(w.network.open(endpoint::ipv4(198, 51, 100, n, 2000)));
        w.say(*flood.back(), rrq("file", options));
        w.say(*flood.back(), ack(0), expect(*flood.back(), oack({{"blksize", "1000"}})));
        CHECK(flood.back()->take());
    }
    CHECK(w.serving->running() <= (by_total ? 3U : 4U));
    for (std::uint16_t block = 2; block <= 4; ++block) {
        w.say(*good, ack(block), tid);
    }
    CHECK_FALSE(w.finished.all.back().outcome);
}

TEST_CASE("a flood shuts out nobody whose answer takes its time", "[driver][service][limits]") {
    // As the oldest each client would be gone before its answer comes.
    service_config config = sim_config();
    config.limits.half_open_max = 64;
    sim_world w(config);
    w.files.set("file", "x");
    int served = 0;
    std::uint32_t n = 0;
    for (std::uint16_t attempt = 0; attempt < 100; ++attempt) {
        const auto slow = w.peer(static_cast<std::uint16_t>(2000 + attempt));
        w.say(*slow, rrq("file"));
        const endpoint tid = slow->take().value().from;
        for (int i = 0; i < 64; ++i, ++n) {
            const auto flood = w.network.open(endpoint::ipv4(
                10, 0, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n), 2000
            ));
            w.say(*flood, rrq("file"));
        }
        const std::size_t before = w.finished.all.size();
        w.say(*slow, ack(1), tid);
        served += w.finished.all.size() > before && !w.finished.all.back().outcome ? 1 : 0;
    }
    // 1/e of them, when 64 of 64 places are given away at random meanwhile.
    CHECK(served > 20);
}

TEST_CASE("one client that asks too fast gets no answer", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.requests_per_client_per_second = 5;
    sim_world w(config);
    w.files.set("file", "x");
    auto hasty = ports_of(w, 8);
    for (const auto& port : hasty) {
        w.say(*port, rrq("file"));
    }
    CHECK(answered(hasty) == 5);
    CHECK(w.serving->running() == 5);
    REQUIRE(w.finished.all.size() == 3);
    CHECK(w.finished.all[0].outcome == errc::too_fast);
    w.advance(200ms);
    w.say(*hasty[7], rrq("file"));
    CHECK(hasty[7]->take());
}

TEST_CASE("requests that come too fast wait and are answered late", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.requests_per_second = 10;
    sim_world w(config);
    w.files.set("file", std::string(2000, 'x'));
    auto crowd = ports_of(w, 30);
    for (const auto& port : crowd) {
        w.network.transmit(*port, service_address, rrq("file"));
    }
    w.settle();
    CHECK(w.serving->running() == 10);
    // A transfer under way is not held up.
    const auto first = crowd[0]->take();
    REQUIRE(first);
    w.say(*crowd[0], ack(1), first->from);
    CHECK(crowd[0]->take());
    w.advance(1s);
    CHECK(w.serving->running() == 20);
    w.advance(1s);
    CHECK(w.serving->running() == 30);
}

TEST_CASE("a listener that rests and closes is not heard again", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.requests_per_second = 1;
    sim_world w(config);
    w.files.set("file", "x");
    auto crowd = ports_of(w, 3);
    for (const auto& port : crowd) {
        w.network.transmit(*port, service_address, rrq("file"));
    }
    w.settle();
    w.serving->close_listeners();
    w.advance(10s);
    CHECK(answered(crowd) == 1);
}

TEST_CASE("a listening port that cannot be read rests a moment", "[driver][service][limits]") {
    sim_world w;
    w.files.set("file", "x");
    const auto asker = w.peer();
    w.network.faults = {{port_call::receive, 1, ENOMEM, 0}};
    w.network.transmit(*asker, service_address, rrq("file"));
    // Once: else the event loop would spin for as long as memory is short.
    w.settle();
    CHECK(w.network.calls(port_call::receive) == 1);
    CHECK_FALSE(asker->take());
    w.advance(10ms);
    CHECK(asker->take());
}

TEST_CASE("watching a listening port again may fail, and is tried again", "[driver][service]") {
    service_config config = sim_config();
    config.limits.requests_per_second = 1;
    sim_world w(config);
    w.files.set("file", "x");
    auto pair = ports_of(w, 2);
    for (const auto& port : pair) {
        w.network.transmit(*port, service_address, rrq("file"));
    }
    w.settle();
    w.loop.fail_next = ENOMEM;
    w.advance(2s);
    CHECK(answered(pair) == 2);
}

TEST_CASE("under a flood an opening is sent twice at most", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.half_open_max = 80;
    sim_world w(config);
    w.files.set("file", "x");
    auto silent = ports_of(w, 20);
    for (const auto& port : silent) {
        w.say(*port, rrq("file"));
    }
    w.advance(60s);
    CHECK(w.serving->transfers() == 0);
    std::vector<std::size_t> sent;
    for (const auto& port : silent) {
        std::size_t count = 0;
        while (port->take()) {
            ++count;
        }
        sent.push_back(count);
    }
    CHECK(sent.front() == 5);
    CHECK(sent.back() == 2);
    CHECK(std::count(sent.begin(), sent.end(), std::size_t{5}) == 11);
}

TEST_CASE("under a flood a late answer is heard", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.half_open_max = 80;
    sim_world w(config);
    w.files.set("file", "x");
    auto crowd = ports_of(w, 20);
    for (const auto& port : crowd) {
        w.say(*port, rrq("file"));
    }
    w.advance(9s);
    const auto first = crowd.back()->take();
    REQUIRE(first);
    w.say(*crowd.back(), ack(1), first->from);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    w.advance(2s);
    // The others of those that are sent less have been given up by now.
    CHECK(w.serving->transfers() == 11);
}

TEST_CASE("a netascii window takes a bounded part of memory", "[driver][service][limits]") {
    sim_world w;
    w.files.set("file", std::string(1'000'000, 'x'));
    client_request asked;
    asked.options = no_options;
    asked.filename = "file";
    asked.mode = transfer_mode::netascii;
    asked.options->blksize = 8192;
    asked.options->windowsize = 64;
    memory_sink into(2'000'000);
    const auto ended = w.get(asked, into);
    CHECK_FALSE(ended.outcome);
    CHECK(ended.agreed.windowsize == 16);
    CHECK(into.content().size() == 1'000'000);
}

TEST_CASE("netascii without memory left ends with an ERROR", "[driver][service][limits]") {
    service_config config = sim_config();
    config.limits.buffered_octets_max = 1000;
    sim_world w(config);
    w.files.set("file", std::string(10'000, 'x'));
    const auto small = w.peer(2000);
    w.say(*small, rrq("file", {}, "netascii"));
    CHECK_FALSE(is_error(small->take(), peer_errc::undefined));
    const auto late = w.peer(2001);
    w.say(*late, rrq("file", {}, "netascii"));
    CHECK(is_error(late->take(), peer_errc::undefined));
}

TEST_CASE("an address that never acknowledges draws little", "[driver][service][reflection]") {
    sim_world w;
    w.files.set("file", std::string(1'000'000, 'x'));
    const option_pairs largest{{"blksize", "65464"}, {"windowsize", "65535"}, {"tsize", "0"}};
    const datagram request = GENERATE_COPY(
        rrq("file"),
        rrq("file", {}, "netascii"),
        rrq("file", largest),
        wrq("new"),
        wrq("new", largest)
    );
    const auto victim = w.peer();
    w.say(*victim, request);
    w.advance(std::chrono::minutes(10));
    std::size_t packets = 0;
    std::size_t octets = 0;
    bool data = false;
    while (const auto got = victim->take()) {
        ++packets;
        octets += got->octets.size();
        data |= got->octets[1] == std::byte{3};
    }
    CHECK(packets == 5);
    CHECK(octets <= 5000);
    // With options it is the OACK that has to be acknowledged first.
    const bool options = std::ranges::equal(
        std::span(request).last(largest.back().second.size() + 1), std::as_bytes(std::span("0"))
    );
    CHECK((!options || !data));
    CHECK(w.serving->transfers() == 0);
}

TEST_CASE("a refused request draws one packet", "[driver][service][reflection]") {
    sim_world w;
    w.files.fail("file", make_error_code(errc::forbidden));
    const datagram request = GENERATE(
        rrq("file"),
        wrq("file"),
        rrq("none"),
        rrq("file", {}, "mail"),
        rrq("file", {{"blksize", "1"}})
    );
    const auto victim = w.peer();
    w.say(*victim, request);
    w.advance(std::chrono::minutes(10));
    const auto got = victim->take();
    REQUIRE(got);
    CHECK(got->octets[1] == std::byte{5});
    CHECK(got->octets.size() <= 64);
    CHECK_FALSE(victim->take());
}

TEST_CASE("a system that lets nothing out ends the transfer, and says why", "[driver][service]") {
    sim_world w;
    w.files.set("file", "x");
    for (unsigned n = 1; n <= 20; ++n) {
        w.network.faults.push_back({port_call::send_run, n, EPERM, 0});
        w.network.faults.push_back({port_call::send, n, EPERM, 0});
    }
    const auto asker = w.peer();
    w.say(*asker, rrq("file"));
    w.advance(std::chrono::minutes(1));
    CHECK_FALSE(asker->take());
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::timed_out);
    CHECK(w.finished.all[0].send_error == error_code(EPERM, boost::system::system_category()));
    // As often as openings are sent: it does not spin.
    CHECK(w.network.calls(port_call::send_run) + w.network.calls(port_call::send) == 5);
}
