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

TEST_CASE("pacer sends block by block over a slow link", "[engine][pacer]") {
    // A link of 2 ms a block whose queue holds 20: the receiver reports 1 s / 19 after the last.
    pacer p(64, 1ms);
    CHECK_FALSE(p.link_is_slow());
    p.on_gap(20, 1ms + 40ms + duration(1s) / 19);
    REQUIRE(p.link_is_slow());
    CHECK(p.burst() == 1);
    const duration each = p.pause();
    CHECK(each / 4 >= 2ms);
    CHECK(each / 4 <= 2100us);
    CHECK(p.pause_after_gap() == each);
    CHECK(p.time_for(10) == 10 * each);
    SECTION("faster, when the first guess was too long") {
        p.on_burst(1ms + 500us, 1, 63 * each, 64);
        CHECK(p.pause() == each / 4);
    }
    SECTION("slower behind gaps whose blocks had waited, until the queue is empty") {
        p.on_gap(4, 1ms + 5 * each + 10ms, 5 * each);
        const duration slower = each * 9 / 8;
        CHECK(p.pause() == slower);
        CHECK(p.pause_after_gap() == slower + 10ms);
        CHECK(p.queued() == duration(10ms));
        p.on_gap(4, 1ms + 5 * slower + 10ms, 5 * slower);
        CHECK(p.pause() == slower + slower * 2 / 8);
    }
    SECTION("not slower behind a gap that shows at once: that is loss on the wire") {
        p.on_gap(30, 1ms + 32 * each, 32 * each);
        CHECK(p.pause() == each - each / 4);
    }
    SECTION("slower when a window shows that the queue fills") {
        p.on_burst(1ms + 64ms, 1, 63 * each, 64);
        const duration link = (63 * each + 64ms) / 64;
        CHECK(p.pause() == link * 17 / 16 + 500us);
    }
    SECTION("faster when nothing waits, at first so little that a small queue holds it") {
        p.on_burst(1ms + 2 * each, 1, 63 * each, 64);
        REQUIRE(p.pause() == each);
        p.on_burst(1ms + each / 4, 1, 63 * each, 64);
        CHECK(p.pause() == each - each / 8);
        p.on_burst(1ms + each / 4, 1, 63 * each, 64);
        CHECK(p.pause() == (each - each / 8) - (each - each / 8) / 4);
    }
    SECTION("a little faster for each two windows when it does not") {
        p.on_burst(1ms + 2 * each, 1, 63 * each, 64);
        CHECK(p.pause() == each);
        p.on_burst(1ms + 2 * each, 1, 63 * each, 64);
        CHECK(p.pause() == each - each / 64);
    }
    SECTION("and never long enough to be taken for silence") {
        for (int i = 0; i < 100; ++i) {
            p.on_gap(0, 20s);
        }
        CHECK(p.pause() == 500ms);
    }
}

TEST_CASE("pacer sends block by block after a window that was lost as a whole", "[engine][pacer]") {
    pacer p(64, 1ms);
    SECTION("when that was told late") {
        p.on_gap(0, 1s);
        CHECK(p.burst() == 1);
        CHECK(p.pause() == 30ms);
        // Nothing waits anywhere: it was no queue, or there is room now.
        p.on_burst(1ms, 1, 63 * 30ms, 64);
        CHECK(p.pause() == 7500us);
    }
    SECTION("within two seconds") {
        pacer large(256, 1ms);
        large.on_gap(0, 1s);
        CHECK(large.pause() == duration(2s) / 256);
    }
    SECTION("but not when its first block was, and that told at once") {
        p.on_gap(0, 2ms);
        CHECK(p.burst() == 64);
    }
}

TEST_CASE("pacer believes in no link that is far slower than it was", "[engine][pacer]") {
    pacer p(64, 1ms);
    // 32 blocks in 1.6 ms; then a receiver's timer tells a gap.
    p.on_gap(32, 1600us);
    p.on_gap(17, 333ms);
    REQUIRE(p.link_is_slow());
    CHECK(p.time_for(1) == 16 * 50us);
    SECTION("until gaps tell that it is") {
        for (int i = 0; i < 40; ++i) {
            p.on_gap(4, 1ms + 5 * p.time_for(1) + 10s, 5 * p.time_for(1));
        }
        CHECK(p.time_for(1) == duration(500ms));
    }
}

TEST_CASE("pacer does not take what timers are late by for a queue", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_burst(1ms + 64 * 50us, 64, 0ms, 64);
    p.on_gap(60, 1ms + 61 * 50us);
    REQUIRE(p.link_is_slow());
    const duration each = p.time_for(1);
    p.on_gap(10, 1ms + 11 * each + 700us, 11 * each);
    CHECK(p.time_for(1) < each);
}

TEST_CASE("pacer slows down when gaps tell nothing, time and again", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_gap(2, 1100ms);
    const duration each = p.pause();
    REQUIRE(each == duration(2s) / 64 * 2);
    for (int i = 0; i < 3; ++i) {
        p.on_gap(3);
        CHECK(p.pause() == each);
    }
    p.on_gap(3);
    CHECK(p.pause() == each + each / 8);
}

TEST_CASE("pacer makes large steps when it is far from what the link gave", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_burst(1ms + 128ms, 64, 0ms, 64);
    p.on_gap(20, 1ms + 42ms);
    for (int i = 0; i < 8; ++i) {
        p.on_gap(4, 1ms + 5 * p.pause() + 100ms, 5 * p.pause());
    }
    const duration each = p.pause();
    REQUIRE(each > 10ms);
    SECTION("where nothing waits") {
        p.on_burst(1ms + each / 4, 1, 63 * each, 64);
        CHECK(p.pause() == each - each / 2);
    }
    SECTION("where a block was lost on the wire") {
        p.on_gap(30, 1ms + 31 * each, 31 * each);
        CHECK(p.pause() == each - each / 2);
    }
    SECTION("where next to nothing does") {
        p.on_burst(1ms + each, 1, 63 * each, 64);
        CHECK(p.pause() == each - each / 8);
    }
}

TEST_CASE("pacer leaves a link that has become fast", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_burst(1ms + 128ms, 64, 0ms, 64);
    p.on_gap(20, 1ms + 42ms);
    REQUIRE(p.link_is_slow());
    int windows = 0;
    while (p.link_is_slow() && windows < 100) {
        p.on_burst(1ms, 1, 63 * p.pause(), 64);
        ++windows;
    }
    CHECK(windows < 20);
    // Bursts are what passed before, and grow: the receiver may have a small queue.
    CHECK(p.burst() == 20);
    clean(p, 200);
    CHECK(p.burst() == 64);
    CHECK(p.pause() == 0ms);
}

TEST_CASE("pacer keeps bursts whose pause is worth a timer", "[engine][pacer]") {
    pacer p(64, 1ms);
    p.on_burst(1ms + 64 * 50us, 64, 0ms, 64);
    p.on_gap(60, 1ms + 61 * 50us);
    REQUIRE(p.link_is_slow());
    CHECK(p.burst() == 2);
    CHECK(p.pause() == duration(50us) * 4 * 2);
}

TEST_CASE(
    "pacer does not believe the first gap beyond two seconds for a window", "[engine][pacer]"
) {
    pacer p(64, 1ms);
    p.on_gap(2, 1100ms);
    CHECK(p.burst() == 1);
    CHECK(p.pause() == duration(2s) / 64 * 2);
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
