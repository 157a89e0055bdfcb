#include "support/engines.hpp"

#include <tftp/engine/receiver.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

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
        .receive(error_packet(peer_errc::not_found, "no such file"))
        .expect_failure(peer_errc::not_found)
        .expect_closed();
    CHECK(r.peer_text() == "no such file");
}

TEST_CASE("receiver believes an ERROR to one of several copies later", "[engine][receiver]") {
    constexpr endpoint other = peer.with_port(2001);
    receiver r = ask_read();
    auto t = script(r);
    t.expect_datagram(rrq("file"), server);
    t.at(1s).expect_timeout().expect_datagram(rrq("file"), server);
    t.at(1100ms)
        .receive(error_packet(peer_errc::not_found, "busy"), other)
        .expect_idle_until(3100ms);
    SECTION("and not at all when another is answered") {
        t.at(2200ms).receive_block(1).expect_ack(1);
        CHECK(r.peer() == peer);
        CHECK(r.peer_text().empty());
    }
    SECTION("when nothing else comes") {
        t.at(3100ms).wake().expect_failure(peer_errc::not_found).expect_closed();
        CHECK(r.peer_text() == "busy");
    }
    SECTION("at once when each copy was refused") {
        t.receive(error_packet(peer_errc::access_violation, "no"), other)
            .expect_failure(peer_errc::access_violation)
            .expect_closed();
    }
    SECTION("and sends nothing meanwhile") {
        r.on_repeated_request();
        t.expect_idle_until(3100ms);
    }
    SECTION("though its copies come again") {
        t.receive(error_packet(peer_errc::not_found, "busy"), other)
            .expect_failure(peer_errc::not_found);
    }
}

TEST_CASE("receiver keeps to a fixed interval", "[engine][receiver]") {
    engine_config config;
    config.fixed_interval = 200ms;
    receiver r = ask_read({}, config);
    script(r)
        .expect_datagram(rrq("file"), server)
        .at(200ms)
        .expect_timeout()
        .expect_datagram(rrq("file"), server)
        .expect_idle_until(400ms)
        .at(300ms)
        .receive_block(1)
        .expect_ack(1)
        .expect_idle_until(500ms)
        .at(500ms)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(700ms);
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
        .receive(error_packet(peer_errc::option_refused))
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
        .expect_idle_until(1760ms);
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
        .receive(error_packet(0), stranger)
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
        .receive(error_packet(0, "Early terminate"))
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
