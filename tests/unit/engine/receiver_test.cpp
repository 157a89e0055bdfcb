#include "support/engines.hpp"

#include <tftp/engine/receiver.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <variant>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

// ---- lockstep

TEST_CASE("receiver acknowledges a block only when it is stored", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive(data(1)).expect_store(0, 512).expect_idle().stored().expect_ack(
        1
    );
}

TEST_CASE(
    "receiver acknowledges nothing while a block is being stored", "[engine][receiver][rfc1350]"
) {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive(data(1))
        .expect_store(0, 512)
        .expect_idle_for_ever()
        .at(5s)
        .expect_no_timeout()
        .expect_idle_for_ever()
        .stored()
        .expect_ack(1);
}

TEST_CASE("receiver acknowledges a repeated block again", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive_block(1)
        .expect_ack(1)
        .advance(100ms)
        .receive_useless(1)
        .expect_ack(1)
        .receive_block(2)
        .expect_ack(2)
        .receive_useless(1)
        .expect_idle();
    CHECK(r.counters().blocks == 2);
    CHECK(r.counters().retransmissions == 1);
}

TEST_CASE("receiver sends one ACK for copies that come together", "[engine][receiver]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive_block(1)
        .expect_ack(1)
        .advance(100ms)
        .receive(data(1))
        .receive(data(1))
        .receive(data(1))
        .stored()
        .expect_ack(1)
        .expect_idle();
}

TEST_CASE("receiver ends with a DATA shorter than blksize", "[engine][receiver][rfc1350]") {
    SECTION("of one byte less") {
        receiver r = serve_write();
        script(r).expect_ack(0).receive_block(1, 511).expect_ack(1).expect_success();
    }
    SECTION("of none for an empty file") {
        receiver r = serve_write();
        script(r).expect_ack(0).receive_block(1, 0).expect_ack(1).expect_success();
        CHECK(r.counters().bytes == 0);
    }
    SECTION("of none for a multiple of blksize") {
        receiver r = serve_write();
        script(r)
            .expect_ack(0)
            .receive_block(1)
            .expect_ack(1)
            .receive_block(2, 0)
            .expect_ack(2)
            .expect_success();
        CHECK(r.counters().bytes == 512);
    }
}

TEST_CASE("receiver refuses DATA larger than blksize", "[engine][receiver][rfc2348]") {
    SECTION("of a client") {
        receiver r = serve_write();
        script(r)
            .expect_ack(0)
            .receive_useless(1, 513)
            .expect_error(peer_errc::illegal_operation)
            .expect_failure(errc::oversize)
            .expect_closed();
    }
    SECTION("of a server that ignores the options and sends large blocks all the same") {
        receiver r = ask_read({.blksize = 1024});
        script(r)
            .expect_datagram(rrq("file", {{"blksize", "1024"}}), server)
            .receive_useless(1, 1024)
            .expect_error(peer_errc::illegal_operation)
            .expect_failure(errc::oversize)
            .expect_closed();
    }
}

TEST_CASE("receiver ignores blocks out of reach", "[engine][receiver]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive_block(1)
        .expect_ack(1)
        .receive_useless(3)
        .receive_useless(40000)
        .receive_useless(0)
        .expect_idle();
    CHECK(r.counters().ignored == 3);
}

// ---- windows

TEST_CASE("receiver acknowledges the last block of a window", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    script(r)
        .expect_datagram(oack(window_4))
        .receive_block(1)
        .receive_block(2)
        .receive_block(3)
        .expect_idle()
        .receive_block(4)
        .expect_ack(4)
        .receive_block(5)
        .expect_idle()
        // The last window is shorter.
        .receive_block(6, 0)
        .expect_ack(6)
        .expect_success();
    CHECK(r.counters().retransmissions == 0);
}

TEST_CASE("receiver reports a gap at once, and once", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_16);
    script(r)
        .expect_datagram(oack(window_16))
        .receive_block(1)
        .receive_block(2)
        .receive_useless(4)
        .expect_ack(2)
        .receive_useless(5)
        .receive_useless(6)
        .receive_useless(16)
        .expect_idle()
        // The sender starts a new window behind that ACK.
        .receive_block(3)
        .receive_useless(5)
        .expect_ack(3);
    CHECK(r.counters().gaps == 2);
}

TEST_CASE("receiver reports a gap that a whole batch shows", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_16);
    script(r)
        .expect_datagram(oack(window_16))
        .receive_block(1)
        .receive(data(3))
        .receive(data(4))
        .receive(data(5))
        .stored()
        .expect_ack(1)
        .expect_idle();
    CHECK(r.counters().gaps == 1);
}

TEST_CASE(
    "receiver reports a gap again when its answer shows it again", "[engine][receiver][rfc7440]"
) {
    receiver r = serve_write(window_16);
    auto t = script(r);
    t.expect_datagram(oack(window_16)).at(10ms).receive_block(1).receive_block(2);
    t.receive_useless(4).expect_ack(2);
    t.at(19ms).receive_useless(5).expect_idle();
    // The new window begins behind block 2, and block 3 is lost once more.
    t.at(20ms).receive_useless(4).expect_ack(2);
    CHECK(r.counters().gaps == 1);
}

TEST_CASE(
    "receiver reports that the first block of a window is missing", "[engine][receiver][rfc7440]"
) {
    receiver r = ask_read({.windowsize = 4});
    script(r)
        .expect_datagram(rrq("file", window_4), server)
        .receive(oack(window_4))
        .stored()
        .expect_ack(0)
        .receive_useless(2)
        .expect_ack(0);
    CHECK(r.counters().gaps == 1);
}

TEST_CASE("receiver answers repeats of a window once a round trip", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    auto t = script(r);
    t.expect_datagram(oack(window_4)).at(10ms);
    t.receive_block(1).receive_block(2).receive_block(3).receive_block(4).expect_ack(4);
    // Half the round trip of 10 ms has not passed: a copy that the network made.
    t.at(14ms).receive_useless(1).expect_idle();
    // Our ACK was lost and the whole window comes again.
    t.at(40ms).receive_useless(1).expect_ack(4);
    t.receive_useless(2).receive_useless(3).receive_useless(4).expect_idle();
    CHECK(r.counters().retransmissions == 1);
}

TEST_CASE("receiver passes over repeats inside a window", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    script(r)
        .expect_datagram(oack(window_4))
        .receive_block(1)
        .receive_block(2)
        .at(1s)
        .receive_useless(1)
        .receive_useless(2)
        .expect_idle()
        .receive_block(3)
        .receive_block(4)
        .expect_ack(4);
}

TEST_CASE(
    "receiver asks for the rest of a window when its blocks stop", "[engine][receiver][rfc7440]"
) {
    receiver r = serve_write(window_4);
    script(r)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive_block(1)
        .receive_block(2)
        // A second, while one time between two blocks is known, and a round trip, for which others
        // may fill the link.
        .expect_idle_until(1020002us)
        .at(1020002us)
        .expect_timeout()
        .expect_ack(2)
        .receive_block(3);
    CHECK(r.counters().retransmissions == 1);
}

TEST_CASE(
    "receiver waits for what answers its report, whatever is late", "[engine][receiver][rfc7440]"
) {
    receiver r = serve_write(window_4);
    auto t = script(r);
    t.expect_datagram(oack(window_4)).at(60ms);
    t.receive_block(1).receive_block(2).receive_useless(4).expect_ack(2);
    // What had been sent before the report was heard. Its answer takes a round trip of 60 ms, and
    // then a quarter of a second is waited, because of the loss.
    t.at(62ms).receive_block(3).expect_idle_until(370002us);
    t.at(120ms).receive_block(4).receive_block(5).receive_block(6).expect_ack(6);
    CHECK(r.counters().retransmissions == 1);
}

TEST_CASE("receiver learns how far apart blocks are that it asks for", "[engine][receiver]") {
    // Two losses are seen, then the sender leaves 100 ms from one block to the next. It takes each
    // ACK for a reason to send the next at once: no window is ever full.
    receiver r = serve_write(window_16);
    time_point now = start;
    datagram bytes;
    std::uint16_t next = 1;
    unsigned asked = 0;
    const auto settle = [&] {
        for (;;) {
            const receiver::effect e = r.next();
            if (const auto* rest = std::get_if<idle>(&e)) {
                return rest->deadline.value_or(now);
            }
        }
    };
    const auto take = [&](std::uint16_t block) {
        bytes = data(block);
        r.on_datagram(bytes, peer, now);
        settle();
        r.on_stored(now);
        settle();
    };
    settle();
    now += 1ms;
    for (; next <= 8; ++next) {
        take(next);
        now += 100us;
        if (next % 4 == 0) {
            take(static_cast<std::uint16_t>(next + 2));
            now += 1ms;
        }
    }
    // It was long ago that a window was full.
    now += 2500ms;
    for (; next <= 250; ++next) {
        const time_point due = now + 100ms;
        const time_point asks = settle();
        now = std::clamp<time_point>(asks, now, due);
        if (asks < due) {
            r.on_deadline(now);
            ++asked;
            settle();
            now = std::min<time_point>(due, now + 5ms);
        }
        take(next);
    }
    INFO(asked);
    CHECK(asked < 20);
}

static_assert(std::is_nothrow_move_constructible_v<receiver>);
