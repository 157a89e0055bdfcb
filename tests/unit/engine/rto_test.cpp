#include <tftp/engine/rto.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace std::chrono_literals;

namespace {

/// Takes the same answer many times, as a transfer does.
void settle(rto_estimator& rto, duration answer, int samples = 200) {
    for (int i = 0; i < samples; ++i) {
        rto.sample(answer);
    }
}

} // namespace

TEST_CASE("the timer starts at its initial interval", "[engine][rto]") {
    const rto_estimator rto{rto_limits{}};
    CHECK(rto.interval() == 1s);
    CHECK_FALSE(rto.smoothed());
}

TEST_CASE("the first interval of a window leaves time for each block", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.expect_window(64);
    CHECK(rto.interval() == 1s + 63 * 700ms);
    SECTION("until a gap tells how long a part of it took") {
        rto.on_gap(100ms, 10);
        // 64 blocks at 10 ms, and half as much again.
        CHECK(rto.interval() == 960ms + 1s);
        rto.on_loss();
        CHECK(rto.interval() == 960ms + 500ms);
    }
    SECTION("which is no more than a slow peer takes") {
        rto.on_gap(40s, 1);
        CHECK(rto.interval() == 63 * 700ms * 3 / 2 + 1s);
        SECTION("and the least is kept") {
            rto.on_gap(100ms, 10);
            rto.on_gap(200ms, 10);
            CHECK(rto.interval() == 960ms + 1s);
        }
    }
}

TEST_CASE("the round trip of the opening shortens nothing", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.sample_opening(100us);
    CHECK(rto.smoothed() == duration(100us));
    CHECK(rto.interval() == 1s);
    SECTION("and says nothing of DATA") {
        rto.sample(40ms);
        CHECK(rto.smoothed() == duration(40ms));
        CHECK(rto.interval() == 1040ms);
    }
    SECTION("but a long one lengthens the interval") {
        rto.sample_opening(700ms);
        CHECK(rto.smoothed() == duration(700ms));
        CHECK(rto.interval() == 2100ms);
    }
    SECTION("and one as long as a timer is no round trip") {
        rto_estimator other{rto_limits{}};
        other.sample_opening(1000ms);
        CHECK_FALSE(other.smoothed().has_value());
        CHECK(other.least() == duration(20ms));
        CHECK(other.interval() == 3s);
    }
}

TEST_CASE("an answer far within the mean shows that it was a timer's", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(1250ms);
    rto.on_loss();
    rto.on_loss();
    SECTION("from an eighth of it on") {
        rto.on_answer_within(150ms);
        CHECK(rto.smoothed() == duration(150ms));
        CHECK(rto.shortest() == duration(150ms));
        rto.on_answer_within(1ms);
        CHECK(rto.smoothed() == duration(1ms));
        CHECK(rto.least() < 1ms);
        CHECK(rto.overdue() <= 25ms);
    }
    SECTION("which jitter does not") {
        rto.on_answer_within(160ms);
        CHECK(rto.smoothed() == duration(1250ms));
    }
}

TEST_CASE("the first round trip sets mean and variance", "[engine][rto][rfc6298]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(600ms);
    CHECK(rto.smoothed() == duration(600ms));
    // Three more may join on the link.
    CHECK(rto.interval() == 600ms + 1800ms);
    SECTION("which is all that counts on a path that loses") {
        for (int i = 0; i < 6; ++i) {
            rto.on_loss();
        }
        // 600 + 4 * 300
        CHECK(rto.interval() == 1800ms);
    }
}

TEST_CASE("later round trips are smoothed with 1/8 and 1/4", "[engine][rto][rfc6298]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(600ms);
    // variance (3 * 300 + |600 - 1200|) / 4 = 375; mean (7 * 600 + 1200) / 8 = 675
    rto.sample(1200ms);
    CHECK(rto.smoothed() == duration(675ms));
    CHECK(rto.interval() == 675ms + 2s);
    // variance (3 * 375 + |675 - 195|) / 4 = 401.25; mean (7 * 675 + 195) / 8 = 615
    rto.sample(195ms);
    CHECK(rto.smoothed() == duration(615ms));
    CHECK(rto.interval() == 4 * 615ms);
    rto.on_loss();
    CHECK(rto.interval() == 2220ms);
}

TEST_CASE("clean samples earn a shorter margin", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 200us, 1);
    CHECK(rto.interval() == 1000200us);
    settle(rto, 200us, 3);
    CHECK(rto.interval() == 250200us);
    settle(rto, 200us, 4);
    CHECK(rto.interval() == 125200us);
    SECTION("to a tenth of a second where nothing was lost") {
        settle(rto, 200us);
        CHECK(rto.interval() == 100200us);
    }
    SECTION("and a window counts as its blocks") {
        rto.sample(200us, 64);
        CHECK(rto.interval() == 100200us);
    }
}

TEST_CASE("losses earn a shorter margin sooner", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 200us);
    rto.on_loss();
    CHECK(rto.interval() == 50200us);
    rto.on_loss();
    CHECK(rto.interval() == 25200us);
    SECTION("down to 20 ms") {
        for (int i = 0; i < 1000; ++i) {
            rto.on_loss();
        }
        CHECK(rto.interval() == 20200us);
    }
    SECTION("and are forgotten when there are no more") {
        settle(rto, 200us, 512);
        CHECK(rto.interval() == 50200us);
        settle(rto, 200us, 512);
        CHECK(rto.interval() == 100200us);
    }
}

TEST_CASE("a timeout lengthens the interval up to the bound", "[engine][rto][rfc1123]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 200ms);
    SECTION("by four where nothing was lost, up to half a second") {
        const duration expected[] = {1600ms, 3200ms, 5s, 5s, 5s};
        for (const duration each : expected) {
            rto.back_off();
            CHECK(rto.interval() == each);
        }
    }
    SECTION("by two on a path that loses") {
        rto.on_loss();
        rto.on_loss();
        REQUIRE(rto.interval() == 250ms);
        const duration expected[] = {500ms, 1s, 2s, 4s, 5s, 5s};
        for (const duration each : expected) {
            rto.back_off();
            CHECK(rto.interval() == each);
        }
    }
    SECTION("and a new ACK ends it") {
        for (int i = 0; i < 1000; ++i) {
            rto.back_off();
        }
        rto.progress();
        CHECK(rto.interval() == 400ms);
    }
}

TEST_CASE("the initial interval is lengthened as well", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.back_off();
    CHECK(rto.interval() == 2s);
    rto.back_off();
    CHECK(rto.interval() == 4s);
    rto.back_off();
    CHECK(rto.interval() == 5s);
}

TEST_CASE("the least that a caller asks for is lengthened, too", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 1ms);
    CHECK(rto.interval(1250ms) == 1250ms);
    rto.back_off();
    CHECK(rto.interval(1250ms) == 5s);
}

TEST_CASE("an answer as long as the longest is waited for", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 500us);
    rto.sample(300ms);
    CHECK(rto.longest() == 300ms);
    CHECK(rto.interval() == 375ms);
    settle(rto, 500us);
    CHECK(rto.interval() == 375ms);
    // It says little of the usual ones.
    CHECK(*rto.smoothed() < 1ms);
    SECTION("until the path turns out to lose packets") {
        rto.on_loss();
        CHECK(rto.interval() == 375ms);
        rto.on_loss();
        CHECK(rto.interval() < 30ms);
        rto.sample(300ms);
        CHECK(rto.interval() < 100ms);
    }
}

TEST_CASE("two long answers in a row make a longer mean", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 1ms);
    rto.on_loss();
    rto.on_loss();
    rto.sample(400ms);
    CHECK(*rto.smoothed() < 50ms);
    rto.sample(400ms);
    CHECK(*rto.smoothed() > 50ms);
    settle(rto, 400ms, 30);
    CHECK(rto.interval() > 400ms);
}

TEST_CASE("a repeat that was needless is remembered", "[engine][rto][rfc3522]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 10ms);
    SECTION("when the answer is too soon for one to the repeat") {
        rto.on_repeated_answer(115ms, 5ms);
        CHECK(rto.longest() == 115ms);
    }
    SECTION("but not because the clock stood still") {
        rto_estimator still{rto_limits{}};
        settle(still, 0ms);
        still.on_loss();
        still.on_repeated_answer(50ms, 0ms);
        CHECK(still.longest() < 1ms);
    }
    SECTION("when it is later than any answer yet") {
        rto.on_repeated_answer(300ms, 190ms);
        CHECK(rto.longest() == 300ms);
        CHECK(rto.interval() == 375ms);
    }
    SECTION("when a copy is answered behind progress") {
        rto.on_repeated_answer(120ms, 10ms);
        CHECK(rto.longest() == 10ms);
        rto.on_copy_answered();
        CHECK(rto.longest() == 120ms);
    }
    SECTION("but not when a sample comes first: then it was needed") {
        rto.on_repeated_answer(120ms, 10ms);
        CHECK(rto.interval() == 150ms);
        rto.sample(10ms);
        rto.on_copy_answered();
        CHECK(rto.longest() == 10ms);
        CHECK(rto.interval() == 60ms);
    }
}

TEST_CASE("repeats in a row are believed on any path", "[engine][rto][rfc1123]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 1ms);
    rto.on_loss();
    rto.on_loss();
    REQUIRE(rto.interval() == 26ms);
    rto.on_repeated_answer(60ms, 34ms);
    rto.on_repeated_answer(60ms, 34ms);
    CHECK(rto.interval() < 60ms);
    rto.on_repeated_answer(60ms, 34ms);
    CHECK(rto.interval() > 60ms);
    rto.sample(60ms);
    rto.sample(60ms);
    CHECK(rto.interval() > 60ms);
}

TEST_CASE("an interval that was measured to be longer than the bound is not cut", "[engine][rto]") {
    rto_estimator rto{{1s, 20ms, 5s}};
    settle(rto, 12s);
    CHECK(rto.interval() >= 15s);
    const duration before = rto.interval();
    rto.back_off();
    CHECK(rto.interval() == before);
}

TEST_CASE("a round trip of no time counts as one microsecond", "[engine][rto]") {
    for (const duration none : {duration(0), duration(-5s), duration::min()}) {
        rto_estimator rto{rto_limits{}};
        rto.sample(none);
        CHECK(rto.smoothed() == duration(1us));
        CHECK(rto.interval() == 1000001us);
    }
}

TEST_CASE("extreme samples and limits do not overflow", "[engine][rto]") {
    rto_estimator rto{{duration::max(), duration::max(), duration::max()}};
    rto.expect_window(65535);
    CHECK(rto.interval() == duration::max());
    rto.back_off();
    CHECK(rto.interval() == duration::max());
    for (int i = 0; i < 100; ++i) {
        rto.on_gap(duration::max(), 0);
        rto.on_repeated_answer(duration::max(), duration::min());
        rto.sample(duration::max());
        rto.sample(duration::min());
        CHECK(rto.interval() > duration(0));
    }

    rto_estimator unbounded{{1s, 20ms, duration::max()}};
    for (int i = 0; i < 1000; ++i) {
        unbounded.back_off();
    }
    CHECK(unbounded.interval() > 1h);
}

TEST_CASE("a long path keeps a quarter of its round trip, or all of it", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    settle(rto, 800ms);
    CHECK(rto.interval() == 1600ms);
    rto.on_loss();
    CHECK(rto.interval() == 1s);
}

TEST_CASE("no answer comes much sooner than a round trip", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    CHECK(rto.least() == 20ms);
    rto.sample(100ms);
    CHECK(rto.least() == 75ms);
    settle(rto, 100ms);
    CHECK(rto.least() > 99ms);
}
