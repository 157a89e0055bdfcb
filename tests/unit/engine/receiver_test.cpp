#include "support/engines.hpp"

#include <tftp/engine/receiver.hpp>

#include <catch2/catch.hpp>

#include <type_traits>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

const option_pairs window_4{{"windowsize", "4"}};
const option_pairs window_16{{"windowsize", "16"}};

/// Takes the blocks first .. last of 512 octets in lockstep, without a script for each of them.
void take_blocks(receiver& r, std::uint64_t first, std::uint64_t last, rollover wrap) {
    for (std::uint64_t block = first; block <= last; ++block) {
        const datagram octets = data(to_wire(block, wrap));
        r.on_datagram(octets, peer, start);
        const auto stored = r.next();
        const auto* s = std::get_if<store>(&stored);
        REQUIRE((s != nullptr && s->offset == (block - 1) * 512));
        r.on_stored(start);
        const auto sent = r.next();
        const auto* control = std::get_if<send_control>(&sent);
        REQUIRE(control != nullptr);
        REQUIRE(to_text(control->datagram) == to_text(ack(to_wire(block, wrap))));
    }
}

} // namespace

// ---- the opening of a read, at the client

TEST_CASE(
    "receiver asks for a file and takes DATA 1 as the answer", "[engine][receiver][rfc1350]"
) {
    receiver r = ask_read();
    script(r)
        .expect_datagram(rrq("file"), server)
        .expect_idle_until(1s)
        .receive(data(1))
        .expect_store(0, 512)
        .stored()
        .expect_ack(1)
        .receive_block(2, 100)
        .expect_ack(2)
        .expect_success()
        .expect_idle();
    CHECK(r.peer() == peer);
    CHECK(r.counters().bytes == 612);
    CHECK(r.whole());
}

TEST_CASE("receiver acknowledges an OACK by ACK 0", "[engine][receiver][rfc2347]") {
    const option_pairs asked{{"blksize", "1024"}, {"windowsize", "4"}, {"tsize", "0"}};
    receiver r = ask_read({.blksize = 1024, .windowsize = 4, .tsize = 0});
    script(r)
        .expect_datagram(rrq("file", asked), server)
        .receive(oack({{"tsize", "5000"}, {"blksize", "1000"}, {"windowsize", "2"}}))
        .expect_ack(0)
        .receive(data(1, 1000))
        .expect_store(0, 1000)
        .stored()
        .expect_idle()
        .receive_block(2, 1000)
        .expect_ack(2);
    CHECK(r.settled());
    CHECK(r.agreed().tsize == 5000U);
}

TEST_CASE(
    "receiver goes by RFC 1350 when DATA 1 comes instead of an OACK", "[engine][receiver][rfc2347]"
) {
    receiver r = ask_read({.blksize = 1024, .windowsize = 4});
    script(r)
        .expect_datagram(rrq("file", {{"blksize", "1024"}, {"windowsize", "4"}}), server)
        .receive_block(1)
        .expect_ack(1)
        // Too late.
        .receive(oack({{"blksize", "1024"}}))
        .stored()
        .expect_idle()
        .receive_block(2, 511)
        .expect_ack(2)
        .expect_success();
    CHECK(r.agreed() == parameters{});
}

TEST_CASE("receiver ends with ERROR 8 on an OACK it cannot accept", "[engine][receiver][rfc2347]") {
    const option_pairs bad = GENERATE(
        option_pairs{{"blksize", "1025"}},
        option_pairs{{"blksize", "7"}},
        option_pairs{{"windowsize", "1"}},
        option_pairs{{"timeout", "2"}},
        option_pairs{{"utimeout", "1000"}}
    );
    receiver r = ask_read({.blksize = 1024, .timeout = 1s});
    script(r)
        .expect_datagram(rrq("file", {{"blksize", "1024"}, {"timeout", "1"}}), server)
        .receive(oack(bad))
        .expect_error(peer_errc::option_refused)
        .expect_failure(errc::bad_option_answer)
        .expect_closed();
}

TEST_CASE("receiver repeats ACK 0 when the OACK comes again", "[engine][receiver][rfc2347]") {
    receiver r = ask_read({.windowsize = 4});
    script(r)
        .expect_datagram(rrq("file", window_4), server)
        .receive(oack(window_4))
        .stored()
        .expect_ack(0)
        .at(10ms)
        .receive(oack(window_4))
        .stored()
        .expect_ack(0)
        .receive(data(1))
        .expect_store(0, 512)
        .stored()
        .receive(oack(window_4))
        .stored()
        .expect_idle();
}

TEST_CASE("receiver repeats an RRQ and gives it up after 31 s", "[engine][receiver][rfc1123]") {
    const datagram asked = rrq("file");
    receiver r = ask_read();
    script(r)
        .expect_datagram(asked, server)
        .at(999ms)
        .expect_no_timeout()
        .expect_idle_until(1s)
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
        .expect_idle_until(31s)
        .at(31s)
        .wake()
        .expect_failure(errc::timed_out)
        .expect_closed();
    CHECK(r.counters().retransmissions == 4);
}

TEST_CASE("receiver ends when the server refuses its RRQ", "[engine][receiver][rfc1350]") {
    receiver r = ask_read();
    script(r)
        .expect_datagram(rrq("file"), server)
        .receive(error(peer_errc::not_found, "no such file"))
        .expect_failure(peer_errc::not_found)
        .expect_closed();
    CHECK(r.peer_text() == "no such file");
}

TEST_CASE("receiver refuses an answer that does not open its read", "[engine][receiver][rfc1350]") {
    receiver r = ask_read();
    script(r)
        .expect_datagram(rrq("file"), server)
        .receive_useless(2)
        .expect_error(peer_errc::unknown_transfer_id)
        .receive(ack(0))
        .stored()
        .expect_idle_until(1s)
        .receive(data(1), peer.with_port(2001))
        .expect_store(0, 512)
        .stored()
        .expect_ack(1, peer.with_port(2001));
}

TEST_CASE(
    "receiver answers a copy of DATA in spite of a late OACK", "[engine][receiver][rfc2347]"
) {
    receiver r = ask_read({.blksize = 512});
    script(r)
        .expect_datagram(rrq("file", {{"blksize", "512"}}), server)
        .receive(oack({{"blksize", "512"}}))
        .stored()
        .expect_ack(0)
        .receive_block(1)
        .expect_ack(1)
        .advance(100ms)
        .receive(data(1))
        .receive(oack({{"blksize", "512"}}))
        .stored()
        .expect_ack(1);
}

// ---- the opening of a write, at the server

TEST_CASE("receiver answers a WRQ without options by ACK 0", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r).expect_ack(0).expect_idle_until(1s).receive_block(1, 10).expect_ack(1);
    CHECK(r.whole());
}

TEST_CASE("receiver answers options by an OACK and no ACK 0", "[engine][receiver][rfc2347]") {
    // As U-Boot asks.
    const option_pairs asked{{"timeout", "5"}, {"blksize", "1468"}};
    receiver r = serve_write(asked);
    script(r)
        .expect_datagram(oack(asked))
        .expect_idle_until(1s)
        .at(10ms)
        .receive_block(1, 1468)
        .expect_ack(1)
        .expect_idle_until(5010ms)
        .receive_block(2, 1467)
        .expect_ack(2)
        .expect_success();
}

TEST_CASE("receiver repeats what answers a WRQ until DATA comes", "[engine][receiver][rfc1123]") {
    const option_pairs options = GENERATE(option_pairs{}, option_pairs{{"blksize", "1024"}});
    const datagram answer = options.empty() ? ack(0) : oack(options);
    receiver r = serve_write(options);
    script(r)
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

TEST_CASE("receiver ends when the client gives its write up", "[engine][receiver][rfc2347]") {
    receiver r = serve_write({{"blksize", "1024"}});
    script(r)
        .expect_datagram(oack({{"blksize", "1024"}}))
        .receive(error(peer_errc::option_refused))
        .expect_failure(peer_errc::option_refused)
        .expect_closed();
}

TEST_CASE("receiver at the server ignores what only servers send", "[engine][receiver]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive(oack({{"blksize", "1024"}}))
        .receive(ack(0))
        .receive(wrq("file"))
        .stored()
        .expect_idle_until(1s);
    CHECK(r.opening());
    CHECK(r.counters().ignored == 3);
}

TEST_CASE("receiver repeats its opening when the request comes again", "[engine][receiver]") {
    receiver r = serve_write();
    script(r).expect_ack(0);
    r.on_repeated_request();
    script(r)
        .at(500ms)
        .expect_ack(0)
        .expect_idle_until(1s)
        .at(510ms)
        .receive_block(1)
        .expect_ack(1)
        // Karn's rule: nothing is measured.
        .expect_idle_until(1510ms);
    r.on_repeated_request();
    script(r).expect_idle();
    CHECK(r.counters().retransmissions == 1);
}

TEST_CASE("receiver ends without an ERROR when its peer is gone", "[engine][receiver]") {
    SECTION("in mid-file") {
        receiver r = serve_write();
        script(r).expect_ack(0).receive_block(1).expect_ack(1);
        r.on_refused(errc::stopped);
        script(r).expect_failure(errc::stopped).expect_closed();
    }
    SECTION("with the success it had") {
        receiver r = serve_write();
        script(r).expect_ack(0).receive_block(1, 1).expect_ack(1).expect_success().expect_idle();
        r.on_refused(errc::stopped);
        script(r).expect_closed();
    }
}

// ---- transfer identifiers

TEST_CASE(
    "receiver answers another TID with ERROR 5 and is not disturbed", "[engine][receiver][rfc1350]"
) {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .at(10ms)
        .receive(data(1), stranger)
        .stored()
        .expect_error(peer_errc::unknown_transfer_id, stranger)
        .expect_idle_until(1s)
        .receive(data(1), peer.with_port(2001))
        .stored()
        .expect_error(peer_errc::unknown_transfer_id, peer.with_port(2001))
        .receive(error(0), stranger)
        .stored()
        .expect_idle_until(1s)
        .receive_block(1, 10)
        .expect_ack(1);
    CHECK(r.counters().strangers == 3);
}

TEST_CASE("receiver keeps the first of two servers that answer", "[engine][receiver][rfc1350]") {
    receiver r = ask_read();
    script(r)
        .expect_datagram(rrq("file"), server)
        .receive_block(1)
        .expect_ack(1)
        .receive(data(1), peer.with_port(2001))
        .stored()
        .expect_error(peer_errc::unknown_transfer_id, peer.with_port(2001))
        .expect_idle()
        .receive_block(2)
        .expect_ack(2);
}

TEST_CASE("receiver never answers an ERROR", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive_block(1)
        .expect_ack(1)
        .receive(error(0, "Early terminate"))
        .expect_failure(peer_errc::undefined)
        .expect_closed()
        .receive(data(2))
        .stored()
        .expect_closed();
}

TEST_CASE("receiver drops datagrams that are no TFTP packets", "[engine][receiver]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive({std::byte{0}, std::byte{3}, std::byte{0}})
        .receive(datagram{})
        .stored()
        .expect_idle_until(1s);
    CHECK(r.counters().malformed == 2);
}

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
    SECTION("of one octet less") {
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
            .expect_failure(errc::malformed)
            .expect_closed();
    }
    SECTION("of a server that ignores the options and sends large blocks all the same") {
        receiver r = ask_read({.blksize = 1024});
        script(r)
            .expect_datagram(rrq("file", {{"blksize", "1024"}}), server)
            .receive_useless(1, 1024)
            .expect_error(peer_errc::illegal_operation)
            .expect_failure(errc::malformed)
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

TEST_CASE("receiver asks early for the rest of a window", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    script(r)
        .expect_datagram(oack(window_4))
        .at(10ms)
        .receive_block(1)
        .receive_block(2)
        // Half the 20 ms that the timer keeps above the round trip.
        .expect_idle_until(20ms)
        .at(20ms)
        .expect_timeout()
        .expect_ack(2)
        .receive_block(3);
    CHECK(r.counters().retransmissions == 1);
}

// ---- timers

TEST_CASE("receiver repeats its ACK when no DATA comes", "[engine][receiver][rfc1123]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .at(100ms)
        .receive_block(1)
        .expect_ack(1)
        // 100 ms and four times half of it, then doubled.
        .expect_idle_until(400ms)
        .at(400ms)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(1000ms)
        .at(1000ms)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(2200ms)
        // Progress ends the back-off, and Karn's rule forbids a sample.
        .receive_block(2)
        .expect_ack(2)
        .expect_idle_until(1300ms);
}

TEST_CASE("receiver takes no sample from an opening sent twice", "[engine][receiver][rfc1123]") {
    receiver r = ask_read();
    script(r)
        .expect_datagram(rrq("file"), server)
        .at(1s)
        .expect_timeout()
        .expect_datagram(rrq("file"), server)
        .at(1001ms)
        .receive_block(1)
        .expect_ack(1)
        // Nothing is measured yet.
        .expect_idle_until(2001ms)
        .at(1011ms)
        .receive_block(2)
        .expect_ack(2)
        .expect_idle_until(1041ms);
}

TEST_CASE(
    "receiver gives up after 30 s and five sends without progress", "[engine][receiver][rfc1123]"
) {
    receiver r = serve_write({{"timeout", "10"}});
    script(r)
        .expect_datagram(oack({{"timeout", "10"}}))
        .receive_block(1)
        .expect_ack(1)
        .at(10s)
        .expect_timeout()
        .expect_ack(1)
        .at(20s)
        .expect_timeout()
        .expect_ack(1)
        .at(30s)
        .expect_timeout()
        .expect_ack(1)
        .at(40s)
        .expect_timeout()
        .expect_ack(1)
        .at(50s)
        .wake()
        .expect_error(peer_errc::undefined)
        .expect_failure(errc::timed_out)
        .expect_closed();
}

// ---- the end

TEST_CASE(
    "receiver holds the last ACK until the content is committed", "[engine][receiver][rfc1350]"
) {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive(data(1, 10))
        .expect_store(0, 10, true)
        .expect_idle_for_ever()
        // The client repeats its block while the commit runs.
        .at(1s)
        .receive(data(1, 10))
        .expect_idle_for_ever()
        .at(5min)
        .wake()
        .expect_idle_for_ever()
        .stored()
        .expect_ack(1)
        .expect_success();
    CHECK(r.counters().timeouts == 0);
}

TEST_CASE("receiver sends an ERROR when the commit fails", "[engine][receiver]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive(data(1, 10)).expect_store(0, 10, true);
    r.abort(peer_errc::disk_full, "disk full", errc::too_large);
    script(r)
        .expect_error(peer_errc::disk_full)
        .expect_failure(errc::too_large)
        .expect_closed()
        .receive(data(1, 10))
        .expect_closed();
}

TEST_CASE("receiver stays to repeat its last ACK", "[engine][receiver][rfc1350]") {
    SECTION("as a client, twice the interval") {
        receiver r = ask_read();
        script(r)
            .expect_datagram(rrq("file"), server)
            .at(100ms)
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success()
            .expect_idle_until(700ms)
            .at(500ms)
            .receive_useless(1, 10)
            .expect_ack(1)
            .receive(error(0))
            .stored()
            .receive(data(1), stranger)
            .stored()
            .expect_error(peer_errc::unknown_transfer_id, stranger)
            .expect_idle_until(700ms)
            .at(700ms)
            .wake()
            .expect_closed();
    }
    SECTION("as a client on a slow path, 3 s at most") {
        receiver r = ask_read();
        script(r)
            .expect_datagram(rrq("file"), server)
            .at(900ms)
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success()
            .expect_idle_until(3900ms);
    }
    SECTION("as a server, 3 s") {
        receiver r = serve_write();
        script(r)
            .expect_ack(0)
            .at(1ms)
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success()
            .expect_idle_until(3001ms);
    }
    SECTION("as a server, longer than the timeout of its client") {
        const option_pairs asked{{"timeout", "5"}};
        receiver r = serve_write(asked);
        script(r)
            .expect_datagram(oack(asked))
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success()
            .expect_idle_until(6s);
    }
}

TEST_CASE("receiver repeats the last ACK of a window", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    auto t = script(r);
    t.expect_datagram(oack(window_4)).at(10ms);
    t.receive_block(1).receive_block(2).receive_block(3, 7).expect_ack(3).expect_success();
    t.at(40ms).receive(data(1)).receive(data(2)).receive(data(3, 7)).stored();
    t.expect_ack(3).expect_idle_until(3010ms);
}

TEST_CASE("receiver does not store a last block twice", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .receive_block(1, 10)
        .expect_ack(1)
        .expect_success()
        .receive_useless(1, 10)
        .expect_ack(1);
    CHECK(r.counters().bytes == 10);
    CHECK(r.counters().blocks == 1);
}

TEST_CASE("receiver takes fewer octets than tsize for a failure", "[engine][receiver][rfc2349]") {
    SECTION("of a read") {
        receiver r = ask_read({.tsize = 0});
        script(r)
            .expect_datagram(rrq("file", {{"tsize", "0"}}), server)
            .receive(oack({{"tsize", "600"}}))
            .expect_ack(0)
            .receive_block(1)
            .expect_ack(1)
            .receive_useless(2, 87)
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::truncated)
            .expect_closed();
    }
    SECTION("of a write") {
        receiver r = serve_write({{"tsize", "600"}});
        script(r)
            .expect_datagram(oack({{"tsize", "600"}}))
            .receive_useless(1, 10)
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::truncated);
    }
    SECTION("but not in netascii, where octets on the wire are not those of the file") {
        receiver r =
            receiver::request("file", transfer_mode::netascii, {.tsize = 0}, server, {}, start)
                .value();
        script(r)
            .expect_datagram(rrq("file", {{"tsize", "0"}}, "netascii"), server)
            .receive(oack({{"tsize", "600"}}))
            .expect_ack(0)
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success();
    }
}

TEST_CASE("receiver sends one ERROR when its side aborts", "[engine][receiver][rfc1350]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive(data(1));
    r.abort(peer_errc::disk_full, "quota", errc::too_large);
    script(r)
        .expect_datagram(error(3, "quota"))
        .expect_failure(errc::too_large)
        .expect_closed()
        .at(5s)
        .wake()
        .expect_closed();
}

TEST_CASE("receiver does not abort what is complete", "[engine][receiver]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive_block(1, 10);
    r.abort(peer_errc::undefined, "stop", errc::stopped);
    script(r).expect_ack(1).expect_success().expect_idle();
}

TEST_CASE("receiver aborts without an ERROR when no server answered yet", "[engine][receiver]") {
    receiver r = ask_read();
    script(r).expect_datagram(rrq("file"), server);
    r.abort(peer_errc::undefined, "interrupted", errc::stopped);
    script(r).expect_failure(errc::stopped).expect_closed();
}

TEST_CASE("receiver refuses a request that cannot be written", "[engine][receiver]") {
    const std::string name(600, 'n');
    const auto r = receiver::request(name, transfer_mode::octet, {}, server, {}, start);
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::too_long);
}

// ---- rollover

TEST_CASE("receiver follows block numbers over the end", "[engine][receiver][rollover]") {
    const rollover wrap = GENERATE(rollover::to_zero, rollover::to_one);
    const auto after = static_cast<std::uint16_t>(wrap == rollover::to_zero ? 0 : 1);
    engine_config config;
    config.wrap = wrap;
    receiver r = serve_write({}, config);
    script(r).expect_ack(0);
    take_blocks(r, 1, 65536, wrap);
    script(r)
        .receive(data(static_cast<std::uint16_t>(after + 1), 10))
        .expect_store(512 * 65536ULL, 10, true)
        .stored()
        .expect_ack(static_cast<std::uint16_t>(after + 1))
        .expect_success();
    CHECK(r.counters().bytes == 512 * 65536ULL + 10);
}

TEST_CASE(
    "receiver ends with block 65535 when rollover is forbidden", "[engine][receiver][rollover]"
) {
    engine_config config;
    config.wrap = rollover::forbidden;
    receiver r = serve_write({}, config);
    script(r).expect_ack(0);
    take_blocks(r, 1, 65534, config.wrap);
    SECTION("with an ERROR when the file goes on") {
        script(r)
            .receive_useless(65535)
            .expect_error(peer_errc::disk_full)
            .expect_failure(errc::rollover_forbidden)
            .expect_closed();
    }
    SECTION("and success when it is the last") {
        script(r).receive_block(65535, 511).expect_ack(65535).expect_success();
    }
}

static_assert(std::is_nothrow_move_constructible_v<receiver>);
