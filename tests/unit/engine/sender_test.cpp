#include "support/engines.hpp"

#include <tftp/engine/sender.hpp>

#include <catch2/catch.hpp>

#include <type_traits>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

// ---- lockstep

TEST_CASE("sender ignores a duplicate ACK when windowsize is 1", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .expect_idle_until(1020ms)
        .at(20ms)
        .receive(ack(1))
        .expect_idle_until(1020ms)
        .at(30ms)
        .receive(ack(1))
        .expect_idle_until(1020ms)
        .receive(ack(2))
        .expect_data(3, 1);
    CHECK(s.counters().ignored == 2);
    CHECK(s.counters().retransmissions == 0);
}

TEST_CASE("sender ignores an ACK of a block that was never sent", "[engine][sender]") {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .run_limit(2)
        .expect_data(1, 2)
        .receive(ack(3))
        .receive(ack(4))
        .receive(ack(5))
        .receive(ack(40000))
        .expect_data(3, 2);
    CHECK(s.base() == 1);
    CHECK(s.counters().ignored == 4);
}

TEST_CASE("sender takes an ACK of five bytes", "[engine][sender]") {
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1).receive(ack_of_windows(1, std::byte{8})).expect_data(2, 1);
}

TEST_CASE("sender takes an ACK as that of its block, whatever follows", "[engine][sender]") {
    sender s = serve_read(window_4, 100000);
    datagram longer = ack(2);
    longer.resize(512, std::byte{0xff});
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .expect_data(1, 4)
        .receive(longer)
        .expect_data_again(3, 4);
    CHECK(s.base() == 3);
}

TEST_CASE("sender ends an empty file with an empty DATA", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 0);
    script(s).expect_data(1, 1).expect_idle().receive(ack(1)).expect_success().expect_closed();
    CHECK(s.counters().bytes == 0);
    CHECK(s.counters().all_sent);
}

TEST_CASE("sender ends a multiple of blksize with an empty DATA", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 1024);
    script(s)
        .expect_data(1, 1)
        .receive(ack(1))
        .expect_data(2, 1)
        .receive(ack(2))
        .expect_data(3, 1)
        .receive(ack(3))
        .expect_success();
    CHECK(s.counters().bytes == 1024);
}

TEST_CASE("sender learns the size of its content while it reads", "[engine][sender]") {
    sender s = serve_read({}, std::nullopt);
    script(s).expect_data(1, 1).receive(ack(1));
    // The caller reads block 2 and finds 88 bytes of it.
    s.on_source_end(600);
    script(s).expect_data(2, 1).receive(ack(2)).expect_success();
    CHECK(s.counters().bytes == 600);
}

TEST_CASE("sender offers again what could not leave", "[engine][sender]") {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .expect_run({1, 4, false}, 0)
        .expect_run({1, 4, false}, 3)
        .expect_run({4, 1, false}, 1)
        .expect_idle();
    CHECK(s.counters().blocks == 4);
    CHECK(s.counters().retransmissions == 0);
}

TEST_CASE("sender bounds a run by what its caller can send", "[engine][sender]") {
    sender s = serve_read(window_16, 100000);
    script(s)
        .expect_datagram(oack(window_16))
        .receive(ack(0))
        .run_limit(6)
        .expect_data(1, 6)
        .expect_data(7, 6)
        .expect_data(13, 4)
        .expect_idle();
}

// ---- windows

TEST_CASE("sender sends a whole window and waits for its ACK", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 4000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .expect_data(1, 4)
        .expect_idle()
        .receive(ack(4))
        .expect_data(5, 4)
        .receive(ack(8))
        .expect_success();
}

TEST_CASE(
    "sender starts a new window behind an ACK inside the window", "[engine][sender][rfc7440]"
) {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .expect_data(1, 4)
        .receive(ack(2))
        .expect_data_again(3, 4)
        .expect_idle();
    CHECK(s.counters().gaps == 1);
    CHECK(s.counters().blocks == 6);
    CHECK(s.counters().retransmissions == 2);
}

TEST_CASE("sender sees in a gap that it had measured a timer", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_16, 1000000);
    auto t = script(s);
    t.expect_datagram(oack(window_16)).receive(ack(0)).expect_data(1, 16);
    // The ACK was lost; this one is the work of the receiver's timer.
    t.at(1250ms).receive(ack(16)).expect_data(17, 16);
    t.at(1251ms).receive(ack(20)).expect_data_again(21, 16);
    REQUIRE(s.round_trip() == duration(1ms));
    // Block 21 was lost again: that is believed as soon as the path allows.
    t.at(1280ms).receive(ack(20)).expect_idle_until(1284ms);
    t.at(1284ms).expect_no_timeout().expect_data_again(21, 1);
}

TEST_CASE("sender starts after the last ACK when a window times out", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(4))
        .expect_data(5, 4)
        .at(280ms)
        .expect_timeout()
        .expect_data_again(8, 1)
        .at(1320ms)
        .expect_timeout()
        .expect_data_again(8, 1)
        .expect_idle_until(3400ms)
        .at(3400ms)
        .expect_timeout()
        .expect_data_again(5, 4);
}

TEST_CASE("sender asks with the last block when a window times out", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 100000);
    auto t = script(s);
    t.expect_datagram(oack(window_4)).at(10ms).receive(ack(0)).expect_data(1, 4);
    t.at(20ms).receive(ack(4)).expect_data(5, 4);
    // 10 ms, and a quarter of a second after four clean blocks.
    t.expect_idle_until(280ms).at(280ms).expect_timeout().expect_data_again(8, 1);
    SECTION("and goes on at the gap that it shows") {
        t.at(290ms).receive(ack(6)).expect_data_again(7, 4);
    }
    SECTION("or at the first block") {
        t.at(290ms).receive(ack(4)).expect_data_again(5, 4);
    }
    SECTION("and goes on when all was there: the peer was slow, and is busy with the copy") {
        t.at(300ms).receive(ack(8)).expect_data(9, 4);
        t.at(310ms).receive(ack(8)).expect_idle();
        CHECK(s.counters().retransmissions == 1);
        t.at(330ms).receive(ack(12)).expect_data(13, 4);
        // 280 ms at the first copy's answer, and a quarter.
        t.expect_idle_until(330ms + 350ms);
    }
}

TEST_CASE("sender ignores an ACK from before the last one", "[engine][sender][rfc1123]") {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(0))
        .expect_data(1, 4)
        .receive(ack(4))
        .expect_data(5, 4)
        .advance(1h)
        .receive(ack(3))
        .receive(ack(2))
        .receive(ack(0))
        .expect_idle();
    CHECK(s.counters().ignored == 3);
}

TEST_CASE("sender sends a window again once for a repeated ACK", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_16, 1000000);
    script(s)
        .expect_datagram(oack(window_16))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 16)
        .at(20ms)
        .receive(ack(16))
        .expect_data(17, 16)
        .at(30ms)
        // U-Boot lost block 17 and says so for each of the 15 that followed.
        .receive(ack(16))
        .expect_data_again(17, 16)
        .receive(ack(16))
        .receive(ack(16))
        .expect_idle()
        .at(39ms)
        .receive(ack(16))
        .expect_idle();
    CHECK(s.counters().gaps == 1);
    CHECK(s.counters().retransmissions == 16);
}

TEST_CASE("sender does not take a copy of an ACK for a lost block", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 1000000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(4))
        .expect_data(5, 4)
        // Three quarters of a round trip have not passed: no loss of block 5 can be known so early.
        .at(27ms)
        .receive(ack(4))
        .expect_idle()
        .at(28ms)
        .receive(ack(4))
        .expect_data_again(5, 4);
}

TEST_CASE("sender repeats a window once for a burst of gap reports", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_16, 1000000);
    script(s)
        .expect_datagram(oack(window_16))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 16)
        .at(20ms)
        .receive(ack(2))
        .expect_data_again(3, 16)
        .receive(ack(2))
        .receive(ack(2))
        .receive(ack(2))
        .expect_idle();
    CHECK(s.counters().gaps == 1);
}

TEST_CASE("sender honours a repeated ACK again after a timeout", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 1000000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(4))
        .expect_data(5, 4)
        .at(30ms)
        .receive(ack(4))
        .expect_data_again(5, 4)
        .at(40ms)
        .receive(ack(4))
        .expect_idle_until(102500us)
        .at(102500us)
        .expect_timeout()
        .expect_data_again(8, 1)
        .at(113ms)
        .receive(ack(4))
        .expect_data_again(5, 4);
}

TEST_CASE("sender takes an ACK that comes too soon for one of older copies", "[engine][sender]") {
    sender s = serve_read(window_4, 1000000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(4))
        .expect_data(5, 4)
        .at(30ms)
        // The network mixes what it carries, and each block that finds its place has an ACK.
        .receive(ack(5))
        .expect_data_again(6, 4)
        .at(31ms)
        .receive(ack(6))
        .expect_data(10, 1)
        .at(32ms)
        .receive(ack(8))
        .expect_data(11, 2)
        .at(42ms)
        // A round trip later it is one to what was sent again.
        .receive(ack(9))
        .expect_data_again(10, 4);
    CHECK(s.counters().gaps == 2);
}

TEST_CASE("sender hears a receiver that goes on asking", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 1000000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(4))
        .expect_data(5, 4)
        .at(30ms)
        .receive(ack(4))
        .expect_data_again(5, 4)
        // It may be one to the copies.
        .at(59ms)
        .receive(ack(4))
        .expect_idle()
        .at(65ms)
        .receive(ack(4))
        .expect_data_again(5, 4);
}

TEST_CASE("sender paces its runs when the same place is lost over and over", "[engine][sender]") {
    sender s = serve_read(window_16, 1000000);
    auto t = script(s);
    t.expect_datagram(oack(window_16)).at(10ms).receive(ack(0)).expect_data(1, 16);
    // A receiver with room for five blocks.
    t.at(20ms).receive(ack(5)).expect_data_again(6, 16);
    t.at(30ms).receive(ack(10)).expect_data_again(11, 16);
    t.at(40ms).receive(ack(15)).expect_data_again(16, 16);
    // What the receiver needs is not known: a round trip, also for what fills its queue now.
    t.at(50ms).receive(ack(20)).expect_idle_until(60ms);
    t.at(60ms).expect_no_timeout().expect_run({21, 5, true}, 5).expect_idle_until(70ms);
    t.at(70ms).expect_no_timeout().expect_run({26, 5, true}, 5).expect_idle_until(80ms);
    t.at(80ms).expect_no_timeout().expect_run({31, 5, true}, 5);
    t.at(90ms).expect_no_timeout().expect_data(36, 1).expect_idle();
}

// ---- the end

TEST_CASE("sender sends one ERROR when its side aborts", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1);
    s.abort(peer_errc::undefined, "shutting down", errc::stopped);
    script(s)
        .expect_datagram(error_packet(0, "shutting down"))
        .expect_failure(errc::stopped)
        .expect_closed()
        .receive(ack(1))
        .at(5s)
        .wake()
        .expect_closed();
    s.abort(peer_errc::disk_full, "again", errc::too_large);
    script(s).expect_closed();
}

TEST_CASE("sender aborts without an ERROR when no server answered yet", "[engine][sender]") {
    sender s = ask_write({}, 5000);
    script(s).expect_datagram(wrq("file"), server);
    s.abort(peer_errc::undefined, "interrupted", errc::stopped);
    script(s).expect_failure(errc::stopped).expect_closed();
}

TEST_CASE("sender keeps an error code that no RFC defines", "[engine][sender]") {
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .receive(error_packet(9, "End of Transfer"))
        .expect_failure(error_code(9, peer_category()));
}

TEST_CASE("sender keeps as much of the peer's text as it has room for", "[engine][sender]") {
    const std::string text(1000, 'x');
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .receive(error_packet(peer_errc::access_violation, text))
        .expect_failure(peer_errc::access_violation);
    CHECK(s.peer_text() == text.substr(0, request_size_max));
}

TEST_CASE("sender does nothing after it is closed", "[engine][sender]") {
    sender s = serve_read({}, 5);
    script(s)
        .expect_data(1, 1)
        .receive(ack(1))
        .expect_success()
        .expect_closed()
        .receive(ack(1), stranger)
        .receive(ack(1))
        .receive(datagram{})
        .at(1h)
        .wake()
        .expect_closed();
}

TEST_CASE("sender refuses a request that cannot be written", "[engine][sender]") {
    const auto s = sender::request("", transfer_mode::octet, {}, server, {}, start);
    REQUIRE(s.has_error());
    CHECK(s.error() == errc::bad_name);
}

static_assert(std::is_nothrow_move_constructible_v<sender>);

TEST_CASE("sender is drawn into no more by ACKs that come again and again", "[engine][sender]") {
    sender s = serve_read(window_16, 100'000'000);
    auto t = script(s);
    t.expect_datagram(oack(window_16)).at(1ms).receive(ack(0)).expect_data(1, 16);
    t.at(2ms).receive(ack(16)).expect_data(17, 16);
    const std::uint64_t before = s.counters().blocks + s.counters().retransmissions;
    for (time_point now = start + 24ms; now < start + 59s; now += 22ms) {
        s.on_deadline(now);
        s.on_datagram(ack(16), peer, now);
        while (const auto* const run = [&]() -> const send_data* {
            static sender::effect what;
            what = s.next(64);
            return std::get_if<send_data>(&what);
        }()) {
            s.on_sent(*run, run->count, now);
        }
    }
    CHECK(s.counters().blocks + s.counters().retransmissions - before < 60 * 16);
}
