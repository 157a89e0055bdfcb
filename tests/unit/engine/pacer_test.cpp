#include <tftp/engine/pacer.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <initializer_list>

using tftp::duration;
using tftp::detail::pacer;
using namespace std::chrono_literals;

namespace {

void report(pacer& p, std::initializer_list<std::uint64_t> places) {
    for (const std::uint64_t place : places) {
        p.on_gap(place);
    }
}

void clean(pacer& p, int windows) {
    for (int i = 0; i < windows; ++i) {
        p.on_clean_window();
    }
}

} // namespace

TEST_CASE("pacer lets a whole window leave at once", "[engine][pacer][rfc7440]") {
    CHECK(pacer(64).burst() == 64);
    CHECK(pacer(1).burst() == 1);
}

TEST_CASE("pacer takes fewer than four gaps for loss on the wire", "[engine][pacer]") {
    pacer p(64);
    report(p, {10, 10, 10});
    CHECK(p.burst() == 64);
}

TEST_CASE("pacer bounds the burst by the furthest of the last four gaps", "[engine][pacer]") {
    pacer p(64);
    report(p, {30, 10, 20, 5});
    CHECK(p.burst() == 30);
    // The gap at 30 is forgotten.
    report(p, {8});
    CHECK(p.burst() == 20);
    SECTION("and a gap further on does not raise it") {
        report(p, {60});
        CHECK(p.burst() == 20);
    }
}

TEST_CASE("pacer keeps a burst of one block", "[engine][pacer]") {
    pacer p(64);
    report(p, {0, 1, 0, 0});
    CHECK(p.burst() == 1);
    pacer none(64);
    report(none, {0, 0, 0, 0});
    CHECK(none.burst() == 1);
}

TEST_CASE("pacer takes a gap behind the window for one at its end", "[engine][pacer]") {
    pacer p(64);
    report(p, {100000, 100000, 100000, 100000});
    CHECK(p.burst() == 64);
}

TEST_CASE("pacer tries a larger burst after a number of clean windows", "[engine][pacer]") {
    pacer p(64);
    report(p, {16, 16, 16, 16});
    CHECK(p.burst() == 16);
    clean(p, 15);
    CHECK(p.burst() == 16);
    clean(p, 1);
    CHECK(p.burst() == 21);
    SECTION("and takes it back at the first gap, to try again later than before") {
        report(p, {17});
        CHECK(p.burst() == 16);
        clean(p, 31);
        CHECK(p.burst() == 16);
        clean(p, 1);
        CHECK(p.burst() == 21);
    }
    SECTION("and goes on up to the whole window when no gap follows") {
        clean(p, 1000);
        CHECK(p.burst() == 64);
    }
}

TEST_CASE("pacer forgets gaps at a clean window", "[engine][pacer]") {
    pacer p(64);
    report(p, {10, 10, 10});
    p.on_clean_window();
    report(p, {10, 10, 10});
    CHECK(p.burst() == 64);
    report(p, {10});
    CHECK(p.burst() == 10);
}

TEST_CASE("pacer makes no pause while the whole window leaves at once", "[engine][pacer]") {
    CHECK(pacer(64, 1ms).pause() == 0ms);
}

TEST_CASE("pacer sends one burst a round trip before it knows more", "[engine][pacer]") {
    pacer p(64, 2ms);
    report(p, {16, 16, 16, 16});
    CHECK(p.pause() == 2ms);
    pacer unknown(64);
    report(unknown, {16, 16, 16, 16});
    CHECK(unknown.pause() == 1ms);
}

TEST_CASE("pacer waits for what the receiver needs, and a sixteenth", "[engine][pacer]") {
    pacer p(64, 1ms);
    report(p, {16, 16, 16, 16});
    SECTION("measured by the last burst when the queue was empty before") {
        // 16 blocks of 50 us.
        p.on_burst(1800us, 16, 3ms, 64);
        CHECK(p.pause() == 850us);
    }
    SECTION("measured by the whole window when it was not") {
        p.on_burst(3500us, 16, 700us, 64);
        CHECK(p.pause() == 850us);
    }
    SECTION("by the shortest of the last four measurements") {
        p.on_burst(1800us, 16, 3ms, 64);
        p.on_burst(9ms, 16, 30ms, 64);
        p.on_burst(9ms, 16, 30ms, 64);
        p.on_burst(9ms, 16, 30ms, 64);
        CHECK(p.pause() == 850us);
        p.on_burst(9ms, 16, 30ms, 64);
        CHECK(p.pause() == 8500us);
    }
    SECTION("but not when it needs next to nothing") {
        p.on_burst(1020us, 16, 0ms, 64);
        CHECK(p.pause() == 0ms);
    }
    SECTION("and never long enough to be taken for silence") {
        p.on_burst(20s, 16, 20s, 64);
        CHECK(p.pause() == 500ms);
    }
}

TEST_CASE("pacer fits the burst to a slow queue at the first gap", "[engine][pacer]") {
    // A link of 2 ms a block whose queue holds 20: the receiver reports after 40 + 60 ms.
    pacer p(64, 1ms);
    p.on_gap(20, 101ms);
    CHECK(p.burst() == 10);
    SECTION("with a quarter of the time that the receiver may have waited") {
        CHECK(p.pause() == duration(10 * 1250us) * 17 / 16);
    }
    SECTION("and takes the exact time from the next gap, which shows at once") {
        p.on_gap(30, 61ms);
        CHECK(p.burst() == 5);
        // Gaps went on: an eighth more.
        CHECK(p.pause() == duration(5 * 2ms) * 19 / 16);
        clean(p, 2);
        CHECK(p.pause() == duration(5 * 2ms) * 17 / 16);
    }
    SECTION("down to a burst whose pause is worth a timer") {
        for (int i = 0; i < 20; ++i) {
            p.on_gap(5, 11ms);
        }
        CHECK(p.burst() == 1);
        pacer fast(64, 1ms);
        for (int i = 0; i < 20; ++i) {
            fast.on_gap(64, 1ms + 64 * 50us);
        }
        CHECK(fast.burst() == 5);
    }
}

TEST_CASE("pacer does not believe the first gap beyond 25 ms a block", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_gap(2, 1100ms);
    CHECK(p.burst() == 1);
    CHECK(p.pause() == duration(25ms) * 17 / 16);
}

TEST_CASE("pacer takes a gap that shows at once for loss", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_gap(3, 1500us);
    CHECK(p.burst() == 64);
    CHECK(p.time_for(10) == 0ms);
}

TEST_CASE("pacer tells the time that blocks need", "[engine][pacer]") {
    pacer p(64, 1ms);
    CHECK(p.time_for(10) == 0ms);
    p.on_burst(1800us, 16, 3ms, 64);
    CHECK(p.time_for(10) == 500us);
}
