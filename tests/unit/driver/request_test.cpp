#include <tftp/driver/request.hpp>

#include <catch2/catch.hpp>

using namespace tftp;

TEST_CASE("the default offer asks for what suits the route", "[driver][request]") {
    const offer o = io::default_offer(1428);
    CHECK(o.blksize == 1428);
    CHECK(o.windowsize == 64);
    CHECK(o.tsize == 0);
    CHECK_FALSE(o.timeout);
}

TEST_CASE("the receive buffer holds a window and its bookkeeping", "[driver][request]") {
    parameters p;
    p.blksize = 1428;
    p.windowsize = 64;
    CHECK(io::receive_buffer_for(p) >= 64 * (1428 + 4));
    p.windowsize = windowsize_max;
    p.blksize = blksize_max;
    CHECK(io::receive_buffer_for(p) > std::size_t{windowsize_max} * blksize_max);
}

TEST_CASE("only a refusal of options is worth a plain request", "[driver][request][rfc2347]") {
    io::request asked;
    asked.options.blksize = 1428;
    io::transfer_summary ended;
    ended.outcome = peer_errc::option_refused;
    CHECK(io::may_fall_back(asked, ended));
    SECTION("not without options") {
        asked.options = {};
        CHECK_FALSE(io::may_fall_back(asked, ended));
    }
    SECTION("not when told otherwise") {
        asked.fall_back = false;
        CHECK_FALSE(io::may_fall_back(asked, ended));
    }
    SECTION("not once DATA has come") {
        ended.counters.blocks = 1;
        CHECK_FALSE(io::may_fall_back(asked, ended));
    }
    SECTION("not for another error") {
        ended.outcome = peer_errc::not_found;
        CHECK_FALSE(io::may_fall_back(asked, ended));
        ended.outcome = errc::timed_out;
        CHECK_FALSE(io::may_fall_back(asked, ended));
        ended.outcome = {};
        CHECK_FALSE(io::may_fall_back(asked, ended));
    }
}
