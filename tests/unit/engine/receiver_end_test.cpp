#include "support/engines.hpp"

#include <tftp/engine/receiver.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Takes the blocks first .. last of 512 bytes in lockstep, without a script for each of them.
void take_blocks(receiver& r, std::uint64_t first, std::uint64_t last, rollover wrap) {
    for (std::uint64_t block = first; block <= last; ++block) {
        const datagram bytes = data(to_wire(block, wrap));
        r.on_datagram(bytes, peer, start);
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

// ---- timers

TEST_CASE("receiver repeats its ACK when no DATA comes", "[engine][receiver][rfc1123]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .at(100ms)
        .receive_block(1)
        .expect_ack(1)
        // Longer than lwIP pauses, and than our own sender waits; then doubled.
        .expect_idle_until(1350ms)
        .at(1350ms)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(3850ms)
        .at(3850ms)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(8850ms)
        // Progress ends the back-off, and Karn's rule forbids a sample.
        .receive_block(2)
        .expect_ack(2)
        .expect_idle_until(5100ms);
}

TEST_CASE("receiver lets its timer run on while a block is repeated", "[engine][receiver]") {
    receiver r = serve_write();
    script(r)
        .expect_ack(0)
        .at(100ms)
        .receive_block(1)
        .expect_ack(1)
        .expect_idle_until(1350ms)
        .at(250ms)
        .receive_useless(1)
        .expect_ack(1)
        .expect_idle_until(1350ms);
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
        .at(1011ms)
        .receive_block(2)
        .expect_ack(2)
        // A sample of 1011 ms from the opening would make it 4 s.
        .expect_idle_until(2261ms);
}

TEST_CASE("receiver gives up after 60 s without progress", "[engine][receiver][rfc1123]") {
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
        .expect_timeout()
        .expect_ack(1)
        .at(60s)
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

TEST_CASE("receiver lets only the commit decide once it has begun", "[engine][receiver]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive(data(1, 10)).expect_store(0, 10, true);
    r.on_commit_begun();
    CHECK(r.committing());
    // What was asked for too late: the client's ERROR, oversize DATA, a stop, an ICMP refusal.
    script(r)
        .receive(error_packet(0, "abandoned"))
        .expect_idle_for_ever()
        .receive(data(2, 513))
        .expect_idle_for_ever();
    r.abort(peer_errc::undefined, "stopping", errc::stopped);
    r.on_refused(errc::superseded);
    script(r).expect_idle_for_ever().stored().expect_ack(1).expect_success();
    CHECK_FALSE(r.committing());
}

TEST_CASE("receiver sends an ERROR when the commit fails", "[engine][receiver]") {
    receiver r = serve_write();
    script(r).expect_ack(0).receive(data(1, 10)).expect_store(0, 10, true);
    r.on_commit_begun();
    r.on_commit_failed(peer_errc::disk_full, "disk full", errc::too_large);
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
            .receive(error_packet(0))
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
    SECTION("as a server, two timeouts of its client") {
        const option_pairs asked{{"timeout", "5"}};
        receiver r = serve_write(asked);
        script(r)
            .expect_datagram(oack(asked))
            .receive_block(1, 10)
            .expect_ack(1)
            .expect_success()
            .expect_idle_until(10s);
    }
}

TEST_CASE("receiver repeats the last ACK of a window", "[engine][receiver][rfc7440]") {
    receiver r = serve_write(window_4);
    auto t = script(r);
    t.expect_datagram(oack(window_4)).at(10ms);
    t.receive_block(1).receive_block(2).receive_block(3, 7).expect_ack(3).expect_success();
    SECTION("when blocks of it come again") {
        t.at(40ms).receive(data(1)).receive(data(2)).receive(data(3, 7)).stored();
        t.expect_ack(3).expect_idle_until(3410ms);
    }
    SECTION("by itself when it was the only one, for as long as the sender may wait") {
        t.expect_idle_until(1010ms).at(1010ms).expect_no_timeout().expect_ack(3);
        t.expect_idle_until(3410ms).at(3410ms).expect_no_timeout().expect_closed();
    }
    SECTION("not after that time, when its timer comes too late") {
        t.expect_idle_until(1010ms).at(3410ms).expect_no_timeout().expect_closed();
    }
}

TEST_CASE("receiver does not repeat the last ACK of a second window", "[engine][receiver]") {
    receiver r = serve_write(window_4);
    auto t = script(r);
    t.expect_datagram(oack(window_4)).at(10ms);
    t.receive_block(1).receive_block(2).receive_block(3).receive_block(4).expect_ack(4);
    t.receive_block(5, 7).expect_ack(5).expect_success();
    t.expect_idle_until(3010ms).at(3010ms).expect_no_timeout().expect_closed();
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

TEST_CASE("receiver stays 10 s at most", "[engine][receiver][rfc1350]") {
    const option_pairs asked{{"timeout", "255"}};
    receiver r = serve_write(asked);
    script(r)
        .expect_datagram(oack(asked))
        .receive_block(1, 10)
        .expect_ack(1)
        .expect_success()
        .expect_idle_until(10s);
}

TEST_CASE("receiver gives up after two timeouts that its peer asked for", "[engine][receiver]") {
    const option_pairs asked{{"timeout", "255"}};
    receiver r = serve_write(asked);
    script(r)
        .expect_datagram(oack(asked))
        .receive_block(1)
        .expect_ack(1)
        .at(255s)
        .expect_timeout()
        .expect_ack(1)
        .expect_idle_until(510s)
        .at(510s)
        .wake()
        .expect_error(peer_errc::undefined)
        .expect_failure(errc::timed_out);
}

TEST_CASE("receiver takes a trickle for silence", "[engine][receiver]") {
    const duration apart = GENERATE(9s, 11s);
    receiver r = serve_write();
    time_point now = start;
    // Takes what the receiver has to do; returns false at the end.
    const auto settle = [&] {
        for (auto effect = r.next(); !std::holds_alternative<idle>(effect); effect = r.next()) {
            if (std::holds_alternative<completed>(effect) ||
                std::holds_alternative<closed>(effect)) {
                return false;
            }
            if (std::holds_alternative<store>(effect)) {
                r.on_stored(now);
            }
        }
        return true;
    };
    std::uint16_t block = 1;
    while (now < start + 200s && settle()) {
        now += apart;
        r.on_deadline(now - 1ms);
        if (settle()) {
            r.on_datagram(data(block++), peer, now);
        }
    }
    if (apart == 9s) {
        CHECK(now >= start + 200s);
    } else {
        CHECK(now >= start + 60s);
        CHECK(now <= start + 120s);
    }
}

TEST_CASE("receiver refuses more than tsize announced", "[engine][receiver][rfc2349]") {
    SECTION("of a read") {
        receiver r = ask_read({.tsize = 0});
        script(r)
            .expect_datagram(rrq("file", {{"tsize", "0"}}), server)
            .receive(oack({{"tsize", "600"}}))
            .expect_ack(0)
            .receive_block(1)
            .expect_ack(1)
            .receive_useless(2)
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::excess)
            .expect_closed();
    }
    SECTION("of a write") {
        receiver r = serve_write({{"tsize", "10"}});
        script(r)
            .expect_datagram(oack({{"tsize", "10"}}))
            .receive_useless(1)
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::excess);
    }
    SECTION("but for 0, which some announce when they do not know") {
        receiver r = ask_read({.tsize = 0});
        script(r)
            .expect_datagram(rrq("file", {{"tsize", "0"}}), server)
            .receive(oack({{"tsize", "0"}}))
            .expect_ack(0)
            .receive_block(1)
            .expect_ack(1);
    }
}

TEST_CASE("receiver takes fewer bytes than tsize for a failure", "[engine][receiver][rfc2349]") {
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
    SECTION("but not in netascii, where bytes on the wire are not those of the file") {
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
        .expect_datagram(error_packet(3, "quota"))
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
