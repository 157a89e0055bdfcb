#include "support/engines.hpp"

#include <tftp/engine/sender.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

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
        .receive(error_packet(8, "User aborted the transfer"))
        .expect_failure(errc::size_probe)
        .expect_closed();
    CHECK(s.peer_text() == "User aborted the transfer");
}

TEST_CASE(
    "sender takes an ERROR in answer to an OACK without tsize for a failure",
    "[engine][sender][rfc2347]"
) {
    sender s = serve_read({{"blksize", "1024"}}, 1000);
    script(s)
        .expect_datagram(oack({{"blksize", "1024"}}))
        .receive(error_packet(8, "Option Negotiation Failed"))
        .expect_failure(peer_errc::option_refused)
        .expect_closed();
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
        .receive(error_packet(peer_errc::disk_full, "no room"))
        .expect_failure(peer_errc::disk_full)
        .expect_closed();
    CHECK(s.peer_text() == "no room");
}

TEST_CASE("sender believes an ERROR to one of several copies later", "[engine][sender]") {
    constexpr endpoint other = peer.with_port(2001);
    sender s = ask_write({}, 10);
    auto t = script(s);
    t.expect_datagram(wrq("file"), server);
    t.at(1s).expect_timeout().expect_datagram(wrq("file"), server);
    t.at(1100ms)
        .receive(error_packet(peer_errc::file_exists, "busy"), other)
        .expect_idle_until(3100ms);
    SECTION("and not at all when another is answered") {
        t.at(2200ms).receive(ack(0)).expect_data(1, 1);
        CHECK(s.peer() == peer);
    }
    SECTION("when nothing else comes") {
        t.at(3100ms).wake().expect_failure(peer_errc::file_exists).expect_closed();
        CHECK(s.peer_text() == "busy");
    }
    SECTION("and sends nothing meanwhile") {
        s.on_repeated_request();
        t.expect_idle_until(3100ms);
    }
    SECTION("at once when each copy was refused") {
        t.receive(error_packet(peer_errc::file_exists, "busy"), other)
            .expect_failure(peer_errc::file_exists)
            .expect_closed();
    }
}

TEST_CASE("sender takes an OACK that comes again for a window that was lost", "[engine][sender]") {
    sender s = ask_write({.windowsize = 4}, 512 * 70000ULL);
    auto t = script(s);
    t.expect_datagram(wrq("file", window_4), server);
    t.at(10ms).receive(oack(window_4)).expect_data(1, 4);
    // Once the blocks may be on the way still; then the first and the last show what was lost.
    t.at(1s).receive(oack(window_4)).expect_idle();
    t.at(3s).receive(oack(window_4)).expect_data_again(1, 1).expect_data_again(4, 1).expect_idle();
    // There was no room for them anywhere: the next leave one by one.
    t.at(3010ms).receive(ack(4)).expect_data(5, 1);
    SECTION("but not once DATA was acknowledged, at the rollover least of all") {
        t.at(3020ms).receive(oack(window_4)).expect_idle();
        CHECK(s.base() == 5);
    }
}

TEST_CASE("sender lets two windows into silence at most", "[engine][sender]") {
    sender s = serve_read(window_16, 1000000);
    script(s).expect_datagram(oack(window_16)).receive(ack(0));
    unsigned sent = 0;
    bool over = false;
    for (time_point now = start; !over; now += 100ms) {
        REQUIRE(now < start + 100s);
        s.on_deadline(now);
        if (now < start + 20s) {
            // Whoever forges the first ACK can forge more.
            s.on_datagram(ack(0), peer, now);
        }
        for (auto effect = s.next(64); !std::holds_alternative<idle>(effect); effect = s.next(64)) {
            if (const auto* run = std::get_if<send_data>(&effect)) {
                CHECK((sent == 0 || run->count == 1));
                sent += run->count;
                s.on_sent(*run, run->count, now);
            }
            over = std::holds_alternative<closed>(effect);
            if (over) {
                break;
            }
        }
    }
    CHECK(sent <= 32);
    CHECK(sent > 16);
}

TEST_CASE("sender answers a repeated ACK 0 by two blocks", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_16, 1000000);
    script(s)
        .expect_datagram(oack(window_16))
        .at(10ms)
        .receive(ack(0))
        .expect_data(1, 16)
        .at(20ms)
        .receive(ack(0))
        .expect_data_again(1, 1)
        .expect_data_again(16, 1)
        .receive(ack(0))
        .expect_idle()
        .at(30ms)
        // They filled the gap and showed the next one.
        .receive(ack(1))
        .expect_data_again(2, 16);
}

TEST_CASE("sender sends the first block again to whoever lacks it", "[engine][sender][rfc7440]") {
    sender s = serve_read(window_4, 1000000);
    auto t = script(s);
    t.expect_datagram(oack(window_4)).at(10ms).receive(ack(0)).expect_data(1, 4);
    t.at(20ms).receive(ack(0));
    unsigned first = 1;
    unsigned sent = 4;
    // Block 1 is lost each time; whatever else comes is answered by ACK 0.
    for (time_point now = start + 20ms; now < start + 20s; now += 10ms) {
        s.on_deadline(now);
        bool answered = false;
        for (auto effect = s.next(64); !std::holds_alternative<idle>(effect); effect = s.next(64)) {
            const auto* const run = std::get_if<send_data>(&effect);
            REQUIRE(run != nullptr);
            first += run->first_block == 1 ? 1U : 0U;
            answered = answered || run->first_block != 1;
            sent += run->count;
            s.on_sent(*run, run->count, now);
        }
        if (answered) {
            s.on_datagram(ack(0), peer, now + 1ms);
        }
    }
    // What may leave unacknowledged goes to block 1 for the most part.
    CHECK(sent == 11);
    CHECK(first == 5);
}

TEST_CASE("sender keeps to a fixed interval", "[engine][sender]") {
    engine_config config;
    config.fixed_interval = 200ms;
    sender s = serve_read({}, 10000, config);
    script(s)
        .expect_data(1, 1)
        .expect_idle_until(200ms)
        .at(200ms)
        .expect_timeout()
        .expect_data_again(1, 1)
        .expect_idle_until(400ms)
        .at(400ms)
        .expect_timeout()
        .expect_data_again(1, 1)
        .at(401ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .expect_idle_until(601ms);
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
        .receive(error_packet(5), stranger)
        .expect_idle_until(1s)
        .receive(error_packet(0, "Early terminate"))
        .expect_failure(peer_errc::undefined)
        .expect_closed()
        .receive(error_packet(0))
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
