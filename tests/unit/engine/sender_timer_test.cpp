#include "support/engines.hpp"

#include <tftp/engine/sender.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

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

// ---- timers

TEST_CASE("sender measures the round trip of blocks sent once", "[engine][sender][rfc6298]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(100ms)
        .receive(ack(1))
        .expect_data(2, 1)
        // 100 ms, and a second after the first sample
        .expect_idle_until(1200ms);
    CHECK(s.round_trip() == duration(100ms));
}

TEST_CASE("sender takes no sample from a block sent twice", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 100000);
    script(s).expect_data(1, 1).at(1s).expect_timeout().expect_data_again(1, 1).at(1001ms).receive(
        ack(1)
    );
    CHECK_FALSE(s.round_trip());
    script(s).at(1001ms).expect_data(2, 1).expect_idle_until(2252250us).at(1011ms).receive(ack(2));
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
    "sender lengthens the interval on each timeout, to at most 5 s", "[engine][sender][rfc1123]"
) {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(200ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .expect_idle_until(1400ms)
        .at(1400ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(3800ms)
        .at(3800ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(8600ms)
        .at(8600ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(13600ms)
        .at(13600ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(18600ms);
}

TEST_CASE("sender drops the back-off on the next new ACK", "[engine][sender]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .at(1020ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .expect_idle_until(3040ms)
        .at(1030ms)
        .receive(ack(2))
        .expect_data(3, 1)
        // The first copy may have been answered, after 1020 ms.
        .expect_idle_until(2305ms)
        .at(1040ms)
        .receive(ack(3))
        .expect_data(4, 1)
        // It was not: 10 ms, and 1 s / 2 samples / 4 for the loss.
        .expect_idle_until(1175ms);
}

TEST_CASE("sender keeps the back-off on a duplicate ACK", "[engine][sender][rfc1123]") {
    sender s = serve_read({}, 100000);
    script(s)
        .expect_data(1, 1)
        .at(10ms)
        .receive(ack(1))
        .expect_data(2, 1)
        .at(1020ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .at(1030ms)
        .receive(ack(1))
        .expect_idle_until(3040ms);
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
        .at(1002ms)
        .expect_timeout()
        .expect_data_again(2, 1)
        .at(3004ms)
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
            .expect_idle_until(1010ms)
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

TEST_CASE("sender gives up after 60 s without progress", "[engine][sender][rfc1123]") {
    SECTION("60 s when the interval is short") {
        sender s = serve_read({}, 100000);
        auto t = script(s).expect_data(1, 1).at(10ms).receive(ack(1)).expect_data(2, 1);
        for (const auto when :
             {1020ms,
              3040ms,
              7080ms,
              12080ms,
              17080ms,
              22080ms,
              27080ms,
              32080ms,
              37080ms,
              42080ms,
              47080ms,
              52080ms,
              57080ms}) {
            t.at(when).expect_timeout().expect_data_again(2, 1);
        }
        t.expect_idle_until(60010ms)
            .at(60010ms)
            .wake()
            .expect_error(peer_errc::undefined)
            .expect_failure(errc::timed_out)
            .expect_closed();
    }
    SECTION("two intervals when the peer asked for a long one") {
        const option_pairs asked{{"timeout", "40"}};
        sender s = serve_read(asked, 100000);
        script(s)
            .expect_datagram(oack(asked))
            .receive(ack(0))
            .expect_data(1, 1)
            .at(40s)
            .expect_timeout()
            .expect_data_again(1, 1)
            .expect_idle_until(80s)
            .at(80s)
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
