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

TEST_CASE("pacer adds a block to the burst for each clean window", "[engine][pacer]") {
    pacer p(8);
    report(p, {5, 5, 5, 5});
    CHECK(p.burst() == 5);
    p.on_clean_window();
    CHECK(p.burst() == 6);
    for (int i = 0; i < 10; ++i) {
        p.on_clean_window();
    }
    CHECK(p.burst() == 8);
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

TEST_CASE("pacer waits a quarter of the round trip between bursts", "[engine][pacer]") {
    const pacer p(64);
    CHECK(p.gap(4ms) == 1ms);
    CHECK(p.gap(0ms) == 200us);
    CHECK(p.gap(1s) == 5ms);
}
