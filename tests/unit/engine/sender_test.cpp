#include "support/engines.hpp"

#include <tftp/engine/sender.hpp>

#include <catch2/catch.hpp>

#include <type_traits>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

const option_pairs window_4{{"windowsize", "4"}};
const option_pairs window_16{{"windowsize", "16"}};

/// Runs a transfer to the point where `through` is acknowledged, without a script for each block.
void acknowledge_through(sender& s, std::uint64_t through, rollover wrap) {
    while (s.base() <= through) {
        const auto effect = s.next(1);
        const auto* run = std::get_if<send_data>(&effect);
        REQUIRE(run != nullptr);
        s.on_sent(*run, 1, start);
        s.on_datagram(ack(to_wire(run->first_block, wrap)), peer, start);
    }
}

} // namespace

// ---- the opening of a read, at the server

TEST_CASE("sender answers an RRQ without options by DATA 1", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 1000);
    script(s).expect_data(1, 1).expect_idle_until(1s);
    CHECK(s.opening());
}

TEST_CASE("sender sends no OACK when it accepts none of the options", "[engine][sender][rfc2347]") {
    sender s = serve_read({{"multicast", ""}, {"blksize", "7"}}, 1000);
    script(s).expect_data(1, 1);
}

TEST_CASE(
    "sender answers options by an OACK and no DATA before its ACK", "[engine][sender][rfc2347]"
) {
    sender s = serve_read({{"blksize", "1024"}}, 3000);
    script(s)
        .expect_datagram(oack({{"blksize", "1024"}}))
        .expect_idle_until(1s)
        .receive(ack(0))
        .expect_data(1, 1);
    CHECK(s.agreed().blksize == 1024);
    CHECK_FALSE(s.opening());
}

TEST_CASE("sender repeats an OACK that was lost", "[engine][sender][rfc2347]") {
    const datagram answer = oack({{"tsize", "1000"}});
    sender s = serve_read({{"tsize", "0"}}, 1000);
    script(s)
        .expect_datagram(answer)
        .at(999ms)
        .expect_no_timeout()
        .expect_idle_until(1s)
        .at(1s)
        .expect_timeout()
        .expect_datagram(answer)
        .expect_idle_until(3s)
        .receive(ack(0))
        .expect_data(1, 1);
}

TEST_CASE("sender ignores anything but ACK 0 in answer to its OACK", "[engine][sender][rfc2347]") {
    sender s = serve_read(window_4, 10000);
    script(s)
        .expect_datagram(oack(window_4))
        .receive(ack(1))
        .receive(data(0))
        .receive(oack(window_4))
        .receive(rrq("file"))
        .expect_idle_until(1s);
    CHECK(s.opening());
    CHECK(s.counters().ignored == 4);
}

TEST_CASE(
    "sender takes an ERROR in answer to its OACK as a size probe", "[engine][sender][rfc2349]"
) {
    sender s = serve_read({{"tsize", "0"}}, 1000);
    script(s)
        .expect_datagram(oack({{"tsize", "1000"}}))
        .receive(error(8, "User aborted the transfer"))
        .expect_failure(errc::size_probe)
        .expect_closed();
    CHECK(s.peer_text() == "User aborted the transfer");
}

TEST_CASE(
    "sender gives an RRQ up after five sends and 31 s, without an ERROR",
    "[engine][sender][rfc1123]"
) {
    SECTION("of an OACK") {
        const datagram answer = oack(window_4);
        sender s = serve_read(window_4, 10000);
        script(s)
            .expect_datagram(answer)
            .at(1s)
            .expect_timeout()
            .expect_datagram(answer)
            .at(3s)
            .expect_timeout()
            .expect_datagram(answer)
            .at(7s)
            .expect_timeout()
            .expect_datagram(answer)
            .at(15s)
            .expect_timeout()
            .expect_datagram(answer)
            .expect_idle_until(31s)
            .at(31s)
            .wake()
            .expect_failure(errc::timed_out)
            .expect_closed();
    }
    SECTION("of DATA 1") {
        sender s = serve_read({}, 10000);
        script(s)
            .expect_data(1, 1)
            .at(1s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(3s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(7s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(15s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .expect_idle_until(31s)
            .at(31s)
            .wake()
            .expect_failure(errc::timed_out)
            .expect_closed();
        CHECK(s.counters().blocks == 1);
        CHECK(s.counters().retransmissions == 4);
    }
}

TEST_CASE("sender keeps to any number of opening sends", "[engine][sender]") {
    engine_config config;
    config.rto.initial = 1ms;
    config.opening_sends = 20;
    sender s = serve_read({}, 10000, config);
    unsigned sends = 0;
    for (time_point now = start;; now += 10min) {
        s.on_deadline(now);
        const auto effect = s.next(1);
        if (const auto* run = std::get_if<send_data>(&effect)) {
            s.on_sent(*run, 1, now);
            ++sends;
        } else if (std::holds_alternative<completed>(effect)) {
            break;
        }
        REQUIRE(now < start + 24h);
    }
    CHECK(sends == 20);
}

TEST_CASE("sender repeats its opening when the request comes again", "[engine][sender]") {
    SECTION("the OACK, without a sample of the round trip") {
        sender s = serve_read(window_4, 100000);
        script(s).expect_datagram(oack(window_4)).expect_idle_until(1s);
        s.on_repeated_request();
        script(s).at(500ms).expect_datagram(oack(window_4)).expect_idle_until(1s).receive(ack(0));
        CHECK_FALSE(s.round_trip());
        s.on_repeated_request();
        script(s).expect_data(1, 4);
        s.on_repeated_request();
        script(s).expect_idle();
    }
    SECTION("or DATA 1") {
        sender s = serve_read({}, 100000);
        script(s).expect_data(1, 1);
        s.on_repeated_request();
        script(s).at(500ms).expect_data_again(1, 1).at(510ms).receive(ack(1));
        CHECK_FALSE(s.round_trip());
        s.on_repeated_request();
        script(s).expect_data(2, 1);
        s.on_repeated_request();
        script(s).expect_idle();
    }
}

TEST_CASE("sender ends without an ERROR when its peer is gone", "[engine][sender]") {
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1);
    s.on_refused(errc::stopped);
    script(s).expect_failure(errc::stopped).expect_closed();
    s.on_refused(errc::timed_out);
    script(s).expect_closed();
}

// ---- the opening of a write, at the client

TEST_CASE("sender asks for a write and takes ACK 0 as the answer", "[engine][sender][rfc1350]") {
    sender s = ask_write({}, 600);
    script(s)
        .expect_datagram(wrq("file"), server)
        .expect_idle_until(1s)
        .receive(ack(0))
        .expect_data(1, 1)
        .receive(ack(1))
        .expect_data(2, 1)
        .receive(ack(2))
        .expect_success()
        .expect_closed();
    CHECK(s.peer() == peer);
    CHECK(s.counters().bytes == 600);
}

TEST_CASE("sender takes an OACK in the place of ACK 0", "[engine][sender][rfc2347]") {
    sender s = ask_write({.blksize = 1024, .windowsize = 4, .tsize = 2000}, 2000);
    script(s)
        .expect_datagram(
            wrq("file", {{"blksize", "1024"}, {"windowsize", "4"}, {"tsize", "2000"}}), server
        )
        .receive(oack({{"blksize", "1000"}, {"windowsize", "2"}, {"tsize", "2000"}}))
        .expect_data(1, 2)
        .receive(ack(2))
        .expect_data(3, 1)
        .receive(ack(3))
        .expect_success();
}

TEST_CASE(
    "sender goes by RFC 1350 when the server ignores its options", "[engine][sender][rfc2347]"
) {
    sender s = ask_write({.blksize = 1024, .windowsize = 4}, 2000);
    script(s)
        .expect_datagram(wrq("file", {{"blksize", "1024"}, {"windowsize", "4"}}), server)
        .receive(ack(0))
        .expect_data(1, 1)
        .expect_idle();
    CHECK(s.agreed() == parameters{});
}

TEST_CASE("sender ends with ERROR 8 on an OACK it cannot accept", "[engine][sender][rfc2347]") {
    const option_pairs bad = GENERATE(
        option_pairs{{"blksize", "1025"}},
        option_pairs{{"windowsize", "4"}},
        option_pairs{{"utimeout", "1000"}}
    );
    sender s = ask_write({.blksize = 1024}, 2000);
    script(s)
        .expect_datagram(wrq("file", {{"blksize", "1024"}}), server)
        .receive(oack(bad))
        .expect_error(peer_errc::option_refused)
        .expect_failure(errc::bad_option_answer)
        .expect_closed();
}

TEST_CASE("sender repeats a WRQ and gives it up after 31 s", "[engine][sender][rfc1123]") {
    const datagram asked = wrq("file");
    sender s = ask_write({}, 10);
    script(s)
        .expect_datagram(asked, server)
        .at(1s)
        .expect_timeout()
        .expect_datagram(asked, server)
        .at(3s)
        .expect_timeout()
        .expect_datagram(asked, server)
        .at(7s)
        .expect_timeout()
        .expect_datagram(asked, server)
        .at(15s)
        .expect_timeout()
        .expect_datagram(asked, server)
        .at(31s)
        .wake()
        .expect_failure(errc::timed_out)
        .expect_closed();
}

TEST_CASE("sender ends when the server refuses its WRQ", "[engine][sender][rfc1350]") {
    sender s = ask_write({}, 10);
    script(s)
        .expect_datagram(wrq("file"), server)
        .receive(error(peer_errc::disk_full, "no room"))
        .expect_failure(peer_errc::disk_full)
        .expect_closed();
    CHECK(s.peer_text() == "no room");
}

TEST_CASE("sender ignores an OACK that comes again", "[engine][sender][rfc2347]") {
    sender s = ask_write({.windowsize = 4}, 10000);
    script(s)
        .expect_datagram(wrq("file", window_4), server)
        .receive(oack(window_4))
        .expect_data(1, 4)
        .receive(oack({{"windowsize", "2"}}))
        .expect_idle();
    CHECK(s.agreed().windowsize == 4);
    CHECK(s.counters().ignored == 1);
}

TEST_CASE("sender refuses an answer that does not open its write", "[engine][sender][rfc1350]") {
    sender s = ask_write({}, 10);
    script(s)
        .expect_datagram(wrq("file"), server)
        .receive(ack(1))
        .expect_error(peer_errc::unknown_transfer_id)
        .receive(data(1))
        .expect_idle_until(1s)
        .receive(ack(0), peer.with_port(2001))
        .expect_data(1, 1);
    CHECK(s.peer() == peer.with_port(2001));
}

// ---- transfer identifiers

TEST_CASE(
    "sender answers another TID with ERROR 5 and is not disturbed", "[engine][sender][rfc1350]"
) {
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1), peer.with_port(2001))
        .expect_error(peer_errc::unknown_transfer_id, peer.with_port(2001))
        .expect_idle_until(1s)
        .receive(ack(1), stranger)
        .expect_error(peer_errc::unknown_transfer_id, stranger)
        .expect_idle_until(1s)
        .receive(ack(1))
        .expect_data(2, 1);
    CHECK(s.counters().strangers == 2);
}

TEST_CASE("sender never answers an ERROR", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .receive(error(5), stranger)
        .expect_idle_until(1s)
        .receive(error(0, "Early terminate"))
        .expect_failure(peer_errc::undefined)
        .expect_closed()
        .receive(error(0))
        .expect_closed();
}

TEST_CASE("sender keeps the first of two servers that answer", "[engine][sender][rfc1350]") {
    sender s = ask_write({}, 10);
    script(s)
        .expect_datagram(wrq("file"), server)
        .receive(ack(0))
        .expect_data(1, 1)
        .receive(ack(0), peer.with_port(2001))
        .expect_error(peer_errc::unknown_transfer_id, peer.with_port(2001))
        .expect_idle()
        .receive(ack(1))
        .expect_success();
}

TEST_CASE("sender of a write refuses another host", "[engine][sender][rfc1350]") {
    sender s = ask_write({}, 10);
    script(s)
        .expect_datagram(wrq("file"), server)
        .receive(ack(0), stranger)
        .expect_error(peer_errc::unknown_transfer_id, stranger)
        .receive(ack(0))
        .expect_data(1, 1);
}

TEST_CASE("sender drops datagrams that are no TFTP packets", "[engine][sender]") {
    const auto junk = GENERATE(
        datagram{},
        datagram(1),
        datagram{std::byte{0}, std::byte{4}, std::byte{0}},
        datagram{std::byte{0}, std::byte{9}, std::byte{0}, std::byte{1}}
    );
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1).receive(junk).expect_idle_until(1s);
    CHECK(s.counters().malformed == 1);
}

// ---- lockstep

TEST_CASE("sender ignores a duplicate ACK when windowsize is 1", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .expect_idle_until(40ms)
        .at(20ms)
        .receive(ack(1))
        .expect_idle_until(40ms)
        .at(30ms)
        .receive(ack(1))
        .expect_idle_until(40ms)
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

TEST_CASE("sender takes an ACK of five octets", "[engine][sender]") {
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1).receive(ack_of_windows(1, std::byte{8})).expect_data(2, 1);
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
    // The caller reads block 2 and finds 88 octets of it.
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
        .expect_idle_until(50ms)
        .at(50ms)
        .expect_timeout()
        .expect_data_again(5, 4);
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
        // U-Boot lost block 1 and says so for each of the 15 that followed.
        .receive(ack(0))
        .expect_data_again(1, 16)
        .receive(ack(0))
        .receive(ack(0))
        .expect_idle()
        .at(29ms)
        .receive(ack(0))
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
        .receive(ack(0))
        .expect_data_again(1, 4)
        .at(30ms)
        .receive(ack(0))
        .expect_idle_until(50ms)
        .at(50ms)
        .expect_timeout()
        .expect_data_again(1, 4)
        .at(60ms)
        .receive(ack(0))
        .expect_data_again(1, 4);
}

TEST_CASE("sender paces its runs when the same place is lost over and over", "[engine][sender]") {
    sender s = serve_read(window_16, 1000000);
    auto t = script(s);
    t.expect_datagram(oack(window_16)).at(10ms).receive(ack(0)).expect_data(1, 16);
    // A receiver with room for five blocks.
    t.at(20ms).receive(ack(5)).expect_data_again(6, 16);
    t.at(30ms).receive(ack(10)).expect_data_again(11, 16);
    t.at(40ms).receive(ack(15)).expect_data_again(16, 16);
    // What the receiver needs is not known: the longest pause, also for what fills its queue now.
    t.at(50ms).receive(ack(20)).expect_idle_until(55ms);
    t.at(55ms).expect_no_timeout().expect_run({21, 5, true}, 5).expect_idle_until(60ms);
    t.at(60ms).expect_no_timeout().expect_run({26, 5, true}, 5).expect_idle_until(65ms);
    t.at(65ms).expect_no_timeout().expect_run({31, 5, true}, 5);
    t.at(70ms).expect_no_timeout().expect_data(36, 1).expect_idle();
}

// ---- timers

TEST_CASE("sender measures the round trip of blocks sent once", "[engine][sender][rfc6298]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(100ms)
        .receive(ack(1))
        .expect_data(2, 1)
        // 100 ms and four times half of it
        .expect_idle_until(400ms);
    CHECK(s.round_trip() == duration(100ms));
}

TEST_CASE("sender takes no sample from a block sent twice", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 100000);
    script(s).expect_data(1, 1).at(1s).expect_timeout().expect_data_again(1, 1).at(1001ms).receive(
        ack(1)
    );
    CHECK_FALSE(s.round_trip());
    script(s).at(1001ms).expect_data(2, 1).expect_idle_until(2001ms).at(1011ms).receive(ack(2));
    CHECK(s.round_trip() == duration(10ms));
}

TEST_CASE("sender takes no sample from an OACK sent twice", "[engine][sender][rfc1123]") {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(1s)
        .expect_timeout()
        .expect_datagram(oack(window_4))
        .at(1001ms)
        .receive(ack(0));
    CHECK_FALSE(s.round_trip());
}

TEST_CASE(
    "sender takes no sample from a run that holds a repeated block", "[engine][sender][rfc1123]"
) {
    sender s = serve_read(window_4, 100000);
    script(s)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 4)
        .at(20ms)
        .receive(ack(2))
        .expect_data_again(3, 4)
        .at(500ms)
        .receive(ack(6));
    CHECK(s.round_trip() == duration(10ms));
}

TEST_CASE(
    "sender doubles the interval on each timeout, to at most 5 s", "[engine][sender][rfc1123]"
) {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(200ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .expect_idle_until(800ms)
        .at(800ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(2000ms)
        .at(2000ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(4400ms)
        .at(4400ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(9200ms)
        .at(9200ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(14200ms)
        .at(14200ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(19200ms);
}

TEST_CASE("sender drops the back-off on the next new ACK", "[engine][sender]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .at(40ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(100ms)
        .at(50ms)
        .receive(ack(2))
        .expect_data(3, 1)
        .expect_idle_until(80ms);
}

TEST_CASE("sender keeps the back-off on a duplicate ACK", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .at(40ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .at(50ms)
        .receive(ack(1))
        .expect_idle_until(100ms);
}

TEST_CASE("sender repeats DATA more than once before four seconds", "[engine][sender]") {
    // GRUB never asks, and OVMF's next ACK comes after 4 s.
    sender s = serve_read({}, 100000);
    script(s).expect_data(1, 1).at(1s).receive(ack(1)).expect_data(2, 1).expect_idle_until(4s);
    sender lan = serve_read({}, 100000);
    script(lan)
        .expect_data(1, 1)
        .at(1ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .at(22ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .at(64ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .at(148ms)
        .expect_timeout()
        .expect_data_again(2, 1);
}

TEST_CASE("sender waits as long as a negotiated timeout says", "[engine][sender][rfc2349]") {
    const option_pairs asked{{"timeout", "3"}};
    SECTION("and no longer when the policy is to honour it") {
        sender s = serve_read(asked, 100000);
        script(s)
            .expect_datagram(oack(asked))
            .at(10ms)
            .receive(ack(0))
            .expect_data(1, 1)
            .expect_idle_until(3010ms)
            .at(3010ms)
            .expect_timeout()
            .expect_data_again(1, 1)
            .expect_idle_until(6010ms);
    }
    SECTION("at most when it is the ceiling of what is measured") {
        engine_config config;
        config.timeouts = timeout_policy::ceiling;
        sender s = serve_read(asked, 100000, config);
        script(s)
            .expect_datagram(oack(asked))
            .at(10ms)
            .receive(ack(0))
            .expect_data(1, 1)
            .expect_idle_until(40ms)
            .at(2010ms)
            .receive(ack(1))
            .expect_data(2, 1)
            .at(2210ms)
            .expect_no_timeout()
            .expect_idle();
        // However slow the peer is, 3 s is the most that passes.
        const auto effect = s.next(1);
        CHECK(std::get<idle>(effect).deadline <= start + 5010ms);
    }
}

TEST_CASE(
    "sender gives up after 30 s and five sends without progress", "[engine][sender][rfc1123]"
) {
    SECTION("30 s when the interval is short") {
        sender s = serve_read({}, 100000);
        auto t = script(s).expect_data(1, 1).at(10ms).receive(ack(1)).expect_data(2, 1);
        // 40, 100, 220, 460, 940, 1900, 3820, 7660, 12.66, 17.66, 22.66, 27.66 s
        for (const auto when :
             {40ms,
              100ms,
              220ms,
              460ms,
              940ms,
              1900ms,
              3820ms,
              7660ms,
              12660ms,
              17660ms,
              22660ms,
              27660ms}) {
            t.at(when).expect_timeout().expect_data_again(2, 1);
        }
        t.expect_idle_until(32660ms)
            .at(32660ms)
            .wake()
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::timed_out)
            .expect_closed();
    }
    SECTION("five sends when the interval is long") {
        const option_pairs asked{{"timeout", "20"}};
        sender s = serve_read(asked, 100000);
        script(s)
            .expect_datagram(oack(asked))
            .receive(ack(0))
            .expect_data(1, 1)
            .at(20s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(40s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(60s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(80s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .at(100s)
            .wake()
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::timed_out);
    }
}

TEST_CASE("sender keeps a silent client for 25 s", "[engine][sender]") {
    sender s = serve_read({}, 100000);
    auto t = script(s).expect_data(1, 1).at(1ms).receive(ack(1)).expect_data(2, 1);
    time_point now = start + 1ms;
    while (now < start + 25s) {
        now += 10ms;
        s.on_deadline(now);
        const auto effect = s.next(1);
        if (const auto* run = std::get_if<send_data>(&effect)) {
            s.on_sent(*run, 1, now);
        } else {
            REQUIRE(std::holds_alternative<idle>(effect));
        }
    }
    t.at(25s + 1ms).receive(ack(2)).expect_data(3, 1);
}

TEST_CASE(
    "sender says that all was sent when only the final ACK is missing", "[engine][sender][rfc1350]"
) {
    sender s = serve_read({}, 100);
    auto t = script(s).expect_data(1, 1);
    CHECK(s.counters().all_sent);
    for (const auto when : {1s, 3s, 7s, 15s}) {
        t.at(when).expect_timeout().expect_data_again(1, 1);
    }
    t.at(31s).wake().expect_failure(errc::timed_out);
    CHECK(s.counters().all_sent);
}

// ---- rollover

TEST_CASE("sender rolls block numbers over to 0 or to 1", "[engine][sender][rollover]") {
    const rollover wrap = GENERATE(rollover::to_zero, rollover::to_one);
    const auto after = static_cast<std::uint16_t>(wrap == rollover::to_zero ? 0 : 1);
    engine_config config;
    config.wrap = wrap;
    sender s = serve_read({}, 512 * 65537ULL, config);
    acknowledge_through(s, 65535, wrap);
    script(s)
        .expect_data(65536, 1)
        // Of the other policy, or of the block before.
        .receive(ack(65535))
        .receive(ack(static_cast<std::uint16_t>(1 - after)))
        .expect_idle()
        .receive(ack(after))
        .expect_data(65537, 1)
        .receive(ack(static_cast<std::uint16_t>(after + 1)))
        .expect_data(65538, 1)
        .receive(ack(static_cast<std::uint16_t>(after + 2)))
        .expect_success();
    CHECK(s.counters().bytes == 512 * 65537ULL);
}

TEST_CASE("sender moves a window over the rollover", "[engine][sender][rollover][rfc7440]") {
    sender s = serve_read(window_4, 512 * 70000ULL);
    script(s).expect_datagram(oack(window_4)).receive(ack(0));
    acknowledge_through(s, 65533, rollover::to_zero);
    script(s)
        .expect_data(65534, 4)
        .receive(ack(65535))
        .expect_data_again(65536, 4)
        .receive(ack(3))
        .expect_data(65540, 4);
}

TEST_CASE(
    "sender ends before block 65536 when rollover is forbidden", "[engine][sender][rollover]"
) {
    engine_config config;
    config.wrap = rollover::forbidden;
    SECTION("at once when the size is known") {
        sender s = serve_read({}, 512 * 65535ULL, config);
        script(s)
            .expect_error(peer_errc::disk_full)
            .expect_failure(errc::rollover_forbidden)
            .expect_closed();
    }
    SECTION("at once when the options are settled") {
        const option_pairs asked{{"blksize", "8"}};
        sender s = serve_read(asked, 8 * 65535ULL, config);
        script(s)
            .expect_datagram(oack(asked))
            .receive(ack(0))
            .expect_error(peer_errc::disk_full)
            .expect_failure(errc::rollover_forbidden);
    }
    SECTION("behind block 65535 when the size is not known") {
        sender s = serve_read({}, std::nullopt, config);
        acknowledge_through(s, 65535, config.wrap);
        script(s).expect_error(peer_errc::disk_full).expect_failure(errc::rollover_forbidden);
    }
    SECTION("and not when block 65535 is the last") {
        sender s = serve_read({}, 512 * 65535ULL - 1, config);
        acknowledge_through(s, 65535, config.wrap);
        script(s).expect_success();
    }
}

// ---- the end

TEST_CASE("sender sends one ERROR when its side aborts", "[engine][sender][rfc1350]") {
    sender s = serve_read({}, 5000);
    script(s).expect_data(1, 1);
    s.abort(peer_errc::undefined, "shutting down", errc::stopped);
    script(s)
        .expect_datagram(error(0, "shutting down"))
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
        .receive(error(9, "End of Transfer"))
        .expect_failure(error_code(9, peer_category()));
}

TEST_CASE("sender keeps as much of the peer's text as it has room for", "[engine][sender]") {
    const std::string text(1000, 'x');
    sender s = serve_read({}, 5000);
    script(s)
        .expect_data(1, 1)
        .receive(error(peer_errc::access_violation, text))
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
