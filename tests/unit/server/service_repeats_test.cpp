#include "support/sim_world.hpp"

#include <tftp/server/shard.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace tftp;
using namespace tftp::test;

namespace {

/// Has `reader` acknowledge the first block of "file".
void begin_read(sim_world& w, sim_port& reader) {
    w.files.set("file", std::string(2000, 'x'));
    w.say(reader, rrq("file"));
    const auto first = reader.take();
    REQUIRE(first);
    w.say(reader, ack(1), first->from);
    REQUIRE(reader.take());
}

} // namespace

TEST_CASE("a copy of the request that comes late disturbs nothing", "[driver][service]") {
    sim_world w;
    const auto reader = w.peer(2000);
    begin_read(w, *reader);
    w.say(*reader, rrq("file"));
    CHECK_FALSE(reader->take());
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());
}

TEST_CASE("a copy of the request that waited in our queue disturbs nothing", "[driver][service]") {
    sim_world w;
    const auto reader = w.peer(2000);
    begin_read(w, *reader);
    w.advance(std::chrono::seconds(2));
    while (reader->take()) {
    }
    // Sent before the answer came, read long after.
    w.listener->waited = std::chrono::seconds(4);
    w.say(*reader, rrq("file"));
    CHECK_FALSE(reader->take());
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());

    w.listener->waited = std::chrono::milliseconds(900);
    w.say(*reader, rrq("file"));
    // Sent since, and nothing was heard of it in these two seconds: it has started again.
    const auto fresh = reader->take();
    REQUIRE(fresh);
    CHECK(w.serving->running() == 2);
    w.say(*reader, ack(1), fresh->from);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::superseded);
}

TEST_CASE("a port that is taken again at once gets its file again", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(300, 'x'));
    const auto reader = w.peer(2000);
    const datagram asked = rrq("file", {{"blksize", "1000"}});
    w.say(*reader, asked);
    const endpoint first = expect(*reader, oack({{"blksize", "1000"}}));
    w.say(*reader, ack(0), first);
    REQUIRE(reader->take());
    // The request is read before the ACK, which came before it.
    w.network.transmit(*reader, first, ack(1));
    w.say(*reader, asked);
    CHECK(expect(*reader, oack({{"blksize", "1000"}})) != first);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
}

TEST_CASE("an answer that waits to be read is no reason to send again", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const auto reader = w.peer(2000);
    w.say(*reader, rrq("file"));
    const auto first = reader->take();
    REQUIRE(first);
    // It has come, but so much else did that time is up before its turn.
    w.network.transmit(*reader, first->from, ack(1));
    w.now += std::chrono::seconds(5);
    w.serving->step(w.now);
    const auto second = reader->take();
    REQUIRE(second);
    CHECK(second->octets[3] == std::byte{2});
    CHECK_FALSE(reader->take());
}

TEST_CASE(
    "a repeated request that crosses the repeated answer disturbs nothing", "[driver][service]"
) {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const auto reader = w.peer(2000);
    const datagram asked = rrq("file", {{"blksize", "1000"}});
    w.say(*reader, asked);
    const auto lost = reader->take();
    REQUIRE(lost);
    // Both timers fire after a second; the ACK of the repeated OACK overtakes the repeated request.
    w.advance(std::chrono::milliseconds(1001));
    expect(*reader, oack({{"blksize", "1000"}}));
    w.say(*reader, ack(0), lost->from);
    REQUIRE(reader->take());
    w.say(*reader, asked);
    CHECK_FALSE(reader->take());
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());
}
