#include <tftp/engine/rto.hpp>

#include <catch2/catch.hpp>

using namespace tftp;
using namespace std::chrono_literals;

TEST_CASE("the timer starts at its initial interval", "[engine][rto]") {
    const rto_estimator rto{rto_limits{}};
    CHECK(rto.interval() == 1s);
    CHECK_FALSE(rto.smoothed());
}

TEST_CASE("the first round trip sets mean and variance", "[engine][rto][rfc6298]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(100ms);
    CHECK(rto.smoothed() == duration(100ms));
    // 100 + 4 * 50
    CHECK(rto.interval() == 300ms);
}

TEST_CASE("later round trips are smoothed with 1/8 and 1/4", "[engine][rto][rfc6298]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(100ms);
    // variance (3 * 50 + |100 - 200|) / 4 = 62.5; mean (7 * 100 + 200) / 8 = 112.5
    rto.sample(200ms);
    CHECK(rto.smoothed() == duration(112500us));
    CHECK(rto.interval() == 362500us);
    // variance (3 * 62.5 + |112.5 - 32.5|) / 4 = 66.875; mean (7 * 112.5 + 32.5) / 8 = 102.5
    rto.sample(32500us);
    CHECK(rto.smoothed() == duration(102500us));
    CHECK(rto.interval() == 370ms);
}

TEST_CASE("a steady round trip leaves the least distance above it", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    for (int i = 0; i < 200; ++i) {
        rto.sample(200us);
    }
    CHECK(rto.smoothed() == duration(200us));
    CHECK(rto.interval() == 20200us);
}

TEST_CASE("a timeout doubles the interval up to the bound", "[engine][rto][rfc1123]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(100ms);
    const duration expected[] = {600ms, 1200ms, 2400ms, 4800ms, 5s, 5s, 5s};
    for (const duration each : expected) {
        rto.back_off();
        CHECK(rto.interval() == each);
    }
}

TEST_CASE("the initial interval is doubled as well", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.back_off();
    CHECK(rto.interval() == 2s);
    rto.back_off();
    CHECK(rto.interval() == 4s);
    rto.back_off();
    CHECK(rto.interval() == 5s);
}

TEST_CASE("a new ACK ends the back-off", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(100ms);
    for (int i = 0; i < 1000; ++i) {
        rto.back_off();
    }
    CHECK(rto.interval() == 5s);
    rto.progress();
    CHECK(rto.interval() == 300ms);
}

TEST_CASE("a sample alone does not end the back-off", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    rto.sample(100ms);
    rto.back_off();
    rto.sample(100ms);
    // variance 37.5: 100 + 150, doubled
    CHECK(rto.interval() == 500ms);
}

TEST_CASE("no interval exceeds the bound", "[engine][rto]") {
    rto_estimator rto{{10s, 20ms, 5s}};
    CHECK(rto.interval() == 5s);
    rto.sample(4s);
    CHECK(rto.interval() == 5s);
    rto.sample(30s);
    CHECK(rto.interval() == 5s);
    rto.back_off();
    rto.progress();
    CHECK(rto.interval() == 5s);
}

TEST_CASE("a round trip of no time counts as one microsecond", "[engine][rto]") {
    for (const duration none : {duration(0), duration(-5s), duration::min()}) {
        rto_estimator rto{rto_limits{}};
        rto.sample(none);
        CHECK(rto.smoothed() == duration(1us));
        CHECK(rto.interval() == 20001us);
    }
}

TEST_CASE("extreme samples and limits do not overflow", "[engine][rto]") {
    rto_estimator rto{{duration::max(), duration::max(), duration::max()}};
    CHECK(rto.interval() == duration::max());
    rto.back_off();
    CHECK(rto.interval() == duration::max());
    for (int i = 0; i < 100; ++i) {
        rto.sample(duration::max());
        rto.sample(duration::min());
        CHECK(rto.interval() == duration::max());
    }

    rto_estimator unbounded{{1s, 20ms, duration::max()}};
    for (int i = 0; i < 1000; ++i) {
        unbounded.back_off();
    }
    CHECK(unbounded.interval() == duration::max());
}

TEST_CASE("a long path keeps a quarter of its round trip as margin", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    for (int i = 0; i < 200; ++i) {
        rto.sample(400ms);
    }
    CHECK(rto.interval() == 500ms);
}

TEST_CASE("no answer comes much sooner than a round trip", "[engine][rto]") {
    rto_estimator rto{rto_limits{}};
    CHECK(rto.least() == 20ms);
    rto.sample(100ms);
    CHECK(rto.least() == 75ms);
    for (int i = 0; i < 200; ++i) {
        rto.sample(100ms);
    }
    CHECK(rto.least() > 99ms);
}
