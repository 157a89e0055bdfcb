#include "bench.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using numbers = std::vector<unsigned>;

constexpr bool hosted = true;

} // namespace

TEST_CASE("transfer reads where it stands when it has no host", "[driver][transfer]") {
    bench b("content");
    b.source->cold = true;
    b.begin();
    CHECK(b.blocks() == numbers{1});
    CHECK(b.source->reads == 1);
}

TEST_CASE("transfer hands cold reads to its host", "[driver][transfer]") {
    bench b(std::string(1000, 'x'), {}, hosted);
    b.source->cold = true;
    b.begin();
    CHECK(b.blocks().empty());
    REQUIRE(b.host.jobs.size() == 1);
    SECTION("and sends what they bring") {
        b.host.work();
        CHECK(b.blocks() == numbers{1});
        CHECK(b.source->reads == 1);
        b.say(ack(1));
        b.host.work();
        CHECK(b.blocks() == numbers{2});
        b.say(ack(2));
        b.check_closed({});
    }
    SECTION("and tells the peer when they fail") {
        b.source->error = system_error(EIO);
        b.host.work();
        CHECK(b.error_code_sent() == peer_errc::undefined);
        b.check_closed(system_error(EIO));
    }
    SECTION("one at a time, without haste while a disk is slow") {
        for (int i = 0; i < 20; ++i) {
            REQUIRE(b.under_test->deadline());
            // A deadline that stays in the past would have the event loop spin.
            REQUIRE(*b.under_test->deadline() > b.now);
            b.pass(*b.under_test->deadline() - b.now);
        }
        CHECK(b.host.jobs.size() == 1);
    }
    SECTION("and may end before they do") {
        b.under_test->abort(peer_errc::undefined, "enough", errc::stopped, b.memory, b.now);
        b.check_closed(errc::stopped);
        b.under_test.reset();
        b.host.work();
    }
    SECTION("and may end after a pool that dropped them") {
        b.host.jobs.clear();
        b.under_test.reset();
    }
}

TEST_CASE("transfer asks a full pool again soon", "[driver][transfer]") {
    bench b("content", {}, hosted);
    b.source->cold = true;
    b.host.full = true;
    b.begin();
    REQUIRE(b.under_test->deadline());
    CHECK(*b.under_test->deadline() <= b.now + 100ms);
    CHECK(*b.under_test->deadline() > b.now);
    b.host.full = false;
    b.pass(*b.under_test->deadline() - b.now);
    b.host.work();
    CHECK(b.blocks() == numbers{1});
}

TEST_CASE("transfer waits for a full socket buffer", "[driver][transfer]") {
    bench b(std::string(16 * 512, 'x'), {{"windowsize", "8"}});
    b.begin();
    b.expect(oack({{"windowsize", "8"}}));
    SECTION("that took nothing") {
        b.network.faults = {{port_call::send_run, 1, EAGAIN, 0}};
        b.say(ack(0));
        CHECK(b.blocks().empty());
    }
    SECTION("that took three blocks") {
        b.network.faults = {{port_call::send_run, 1, EAGAIN, 3}};
        b.say(ack(0));
        CHECK(b.blocks() == numbers{1, 2, 3});
    }
    CHECK(b.under_test->wants().write);
    REQUIRE(b.under_test->deadline());
    CHECK(*b.under_test->deadline() > b.now);
    const std::uint64_t before = b.network.sent;
    b.under_test->on_writable(b.memory, b.now);
    CHECK_FALSE(b.under_test->wants().write);
    CHECK(b.network.sent > before);
    while (b.remote->take()) {
    }
    b.say(ack(8));
    CHECK(b.blocks() == numbers{9, 10, 11, 12, 13, 14, 15, 16});
    b.say(ack(16));
    CHECK(b.blocks() == numbers{17});
    b.say(ack(17));
    b.check_closed({});
    CHECK(b.under_test->counters().retransmissions == 0);
    CHECK(b.under_test->counters().blocks == 17);
}

TEST_CASE("transfer gives up when the socket's buffer stays full", "[driver][transfer]") {
    bench b(std::string(16 * 512, 'x'), {{"windowsize", "8"}});
    b.begin();
    b.expect(oack({{"windowsize", "8"}}));
    for (unsigned nth = 1; nth <= 1000; ++nth) {
        b.network.faults.push_back({port_call::send_run, nth, EAGAIN, 0});
    }
    b.say(ack(0));
    CHECK(b.under_test->wants().write);
    // A peer that keeps talking does not hold it up.
    for (int waits = 0; waits < 200 && !b.under_test->closed(); ++waits) {
        b.now += 500ms;
        b.say(ack(0));
        if (!b.under_test->closed() && *b.under_test->deadline() <= b.now) {
            b.pass(0ms);
        }
    }
    b.check_closed(errc::timed_out);
}

TEST_CASE("a send that fails is a loss", "[driver][transfer]") {
    const int error = GENERATE(ENOBUFS, EPERM, ENETUNREACH);
    bench b(std::string(1000, 'x'));
    b.network.faults = {{port_call::send_run, 1, error, 0}};
    b.begin();
    CHECK(b.blocks().empty());
    CHECK_FALSE(b.under_test->wants().write);
    REQUIRE(b.under_test->deadline());
    b.pass(*b.under_test->deadline() - b.now);
    CHECK(b.blocks() == numbers{1});
    b.say(ack(1));
    b.say(ack(2));
    b.check_closed({});
}

TEST_CASE("transfer ends when nobody listens at the peer", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    SECTION("from the start") {
        b.remote.reset();
        b.begin();
    }
    SECTION("later") {
        b.begin();
        b.say(ack(1));
        b.remote.reset();
        b.pass(*b.under_test->deadline() - b.now);
    }
    const std::uint64_t sent = b.network.sent;
    b.readable();
    b.check_closed(system_error(ECONNREFUSED));
    CHECK(b.network.sent == sent);
}

TEST_CASE("a stranger's refusal is none of the peer", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.begin();
    {
        const auto other = b.network.open(stranger);
        b.network.transmit(*other, b.local, ack(1));
    }
    b.readable();
    b.readable();
    CHECK_FALSE(b.under_test->closed());
    CHECK(b.under_test->counters().strangers == 1);
}

TEST_CASE("a host out of reach ends only what has not begun", "[driver][transfer][rfc1122]") {
    // RFC 1122 3.2.2.1: such a message is a hint, for example of a route that changes.
    bench b(std::string(1000, 'x'));
    b.begin();
    auto* const port = b.network.find(b.under_test->wants().fd);
    SECTION("under way") {
        b.say(ack(1));
        port->refuse({peer, system_error(EHOSTUNREACH)});
        b.readable();
        CHECK_FALSE(b.under_test->closed());
        b.say(ack(2));
        b.check_closed({});
    }
    SECTION("unheard") {
        port->refuse({peer, system_error(EHOSTUNREACH)});
        b.readable();
        b.check_closed(system_error(EHOSTUNREACH));
    }
}

TEST_CASE("a receive that fails ends nothing", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.begin();
    b.network.faults = {{port_call::receive, 1, ECONNREFUSED, 0}};
    b.say(ack(1));
    CHECK_FALSE(b.under_test->closed());
    b.readable();
    CHECK(b.blocks() == numbers{1, 2});
}

TEST_CASE("transfer notices content that is shorter than promised", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.source->promised = 1500;
    b.under_test = make_transfer(
        transfer_setup{
            transfer_direction::read,
            "file",
            transfer_mode::octet,
            b.network.open(endpoint::ipv4(192, 0, 2, 2, 0)),
            nullptr},
        serve_read({}, 1500),
        b.source,
        start
    );
    b.local = b.local.with_port(static_cast<std::uint16_t>(b.local.port + 1));
    b.begin();
    CHECK(b.blocks() == numbers{1});
    b.say(ack(1));
    CHECK(b.error_code_sent() == peer_errc::undefined);
    b.check_closed(errc::source_shrank);
}

TEST_CASE("transfer sends content of unknown size to its end", "[driver][transfer]") {
    const auto size = GENERATE(as<std::size_t>(), 0, 511, 512, 1024, 1500);
    sim_network network;
    scratch memory;
    const auto remote = network.open(peer);
    const auto source = std::make_shared<moody_source>(std::string(size, 'x'));
    source->promised.reset();
    auto port = network.open(endpoint::ipv4(192, 0, 2, 2, 0));
    const endpoint local = port->local_endpoint();
    const auto made = make_transfer(
        {transfer_direction::read, "file", transfer_mode::octet, std::move(port), nullptr},
        serve_read({{"windowsize", "2"}}),
        source,
        start
    );
    transfer& t = *made;
    t.start(memory, start);
    REQUIRE(remote->take());
    std::size_t came = 0;
    network.transmit(*remote, local, ack(0));
    for (std::uint16_t block = 0; !t.closed() && block < 10;) {
        t.on_readable(memory, start);
        while (const auto data = remote->take()) {
            came += data->octets.size() - 4;
            ++block;
        }
        network.transmit(*remote, local, ack(block));
    }
    CHECK(t.closed());
    CHECK(came == size);
    CHECK(t.summary().counters.bytes == size);
}

TEST_CASE("transfer tells the peer that the disk is full", "[driver][transfer]") {
    bench b(option_pairs{});
    b.begin();
    b.expect(ack(0));
    b.say(data(1));
    b.expect(ack(1));
    b.sink->write_error = system_error(ENOSPC);
    b.say(data(2, 100));
    CHECK(b.error_code_sent() == peer_errc::disk_full);
    b.check_closed(system_error(ENOSPC));
    CHECK(b.sink->commits == 0);
}

TEST_CASE("transfer announces the size before it writes", "[driver][transfer]") {
    bench b(option_pairs{{"tsize", "700"}});
    b.begin();
    b.expect(oack({{"tsize", "700"}}));
    SECTION("and goes on when there is room") {
        b.say(data(1));
        CHECK(b.sink->reserved == 700);
        b.expect(ack(1));
    }
    SECTION("and ends when there is none") {
        b.sink->reserve_error = errc::too_large;
        b.say(data(1));
        CHECK(b.sink->writes == 0);
        CHECK(b.error_code_sent() == peer_errc::disk_full);
        b.check_closed(errc::too_large);
    }
}

TEST_CASE("the final ACK says that the content is committed", "[driver][transfer]") {
    const bool pool = GENERATE(false, true);
    bench b({}, pool);
    b.begin();
    b.expect(ack(0));
    SECTION("so none leaves when it cannot be") {
        b.sink->commit_error = system_error(EDQUOT);
        b.say(data(1, 10));
        if (pool) {
            CHECK_FALSE(b.under_test->completed());
            b.host.work();
        }
        CHECK(b.error_code_sent() == peer_errc::disk_full);
        b.check_closed(system_error(EDQUOT));
    }
    SECTION("and is repeated for a peer that missed it") {
        b.say(data(1, 10));
        if (pool) {
            b.host.work();
        }
        b.expect(ack(1));
        CHECK(b.under_test->completed());
        CHECK_FALSE(b.under_test->closed());
        b.say(data(1, 10));
        b.expect(ack(1));
        CHECK(b.sink->commits == 1);
        CHECK(b.sink->writes == 1);
        b.pass(10s);
        b.check_closed({});
    }
}

TEST_CASE("DATA repeated while the commit runs waits for it", "[driver][transfer]") {
    bench b({}, hosted);
    b.begin();
    b.expect(ack(0));
    b.say(data(1, 10));
    for (int i = 0; i < 3; ++i) {
        b.say(data(1, 10));
        b.pass(2s);
    }
    CHECK_FALSE(b.remote->take());
    REQUIRE(b.host.jobs.size() == 1);
    b.host.work();
    b.expect(ack(1));
    CHECK_FALSE(b.remote->take());
    CHECK(b.sink->commits == 1);
}

TEST_CASE("transfer may end before its commit does", "[driver][transfer]") {
    bench b({}, hosted);
    b.begin();
    b.say(data(1, 10));
    REQUIRE(b.host.jobs.size() == 1);
    SECTION("and the job finds out") {
        b.under_test->abort(peer_errc::undefined, "enough", errc::stopped, b.memory, b.now);
        b.under_test.reset();
        b.host.work();
    }
    SECTION("or the job was dropped by its pool") {
        b.host.jobs.clear();
        b.under_test.reset();
    }
}

TEST_CASE("nothing is committed after the peer's ERROR", "[driver][transfer]") {
    // Both come in one batch: the peer thought better of it.
    bench b(option_pairs{{"windowsize", "4"}});
    b.begin();
    b.expect(oack({{"windowsize", "4"}}));
    b.network.transmit(*b.remote, b.local, data(1, 10));
    b.network.transmit(*b.remote, b.local, error_packet(peer_errc::undefined));
    b.readable();
    b.check_closed(peer_errc::undefined);
    CHECK(b.sink->commits == 0);
}

TEST_CASE("a batch is one write and one ACK", "[driver][transfer]") {
    bench b(option_pairs{{"windowsize", "16"}});
    b.begin();
    b.expect(oack({{"windowsize", "16"}}));
    for (std::uint16_t block = 1; block <= 16; ++block) {
        b.network.transmit(*b.remote, b.local, data(block));
    }
    b.readable();
    CHECK(b.sink->writes == 1);
    CHECK(b.sink->content.size() == 16 * 512);
    b.expect(ack(16));
    CHECK_FALSE(b.remote->take());
}
