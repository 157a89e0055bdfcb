#include <tftp/engine/pacer.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <initializer_list>

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

TEST_CASE("pacer keeps a burst of four blocks", "[engine][pacer]") {
    pacer p(64);
    report(p, {0, 1, 0, 2});
    CHECK(p.burst() == 4);
    SECTION("or of the window when that is smaller") {
        pacer small(2);
        report(small, {0, 0, 0, 0});
        CHECK(small.burst() == 2);
    }
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

TEST_CASE("pacer waits for what the receiver needs, and an eighth", "[engine][pacer]") {
    pacer p(64, 1ms);
    report(p, {16, 16, 16, 16});
    SECTION("measured by the last burst when the queue was empty before") {
        // 16 blocks of 50 us.
        p.on_burst(1800us, 16, 3ms, 64);
        CHECK(p.pause() == 900us);
    }
    SECTION("measured by the whole window when it was not") {
        p.on_burst(3500us, 16, 700us, 64);
        CHECK(p.pause() == 900us);
    }
    SECTION("but not when it needs next to nothing") {
        p.on_burst(1020us, 16, 0ms, 64);
        CHECK(p.pause() == 0ms);
    }
    SECTION("and never long enough to be taken for a loss") {
        p.on_burst(2s, 16, 2s, 64);
        CHECK(p.pause() == 5ms);
    }
}
