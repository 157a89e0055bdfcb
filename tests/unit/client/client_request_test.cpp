#include <tftp/client/client_request.hpp>
#include <tftp/transfer/receive_window.hpp>

#include <boost/system/errc.hpp>
#include <catch2/catch.hpp>

using namespace tftp;
using namespace std::chrono_literals;

TEST_CASE("the default offer asks for what suits the route", "[driver][request]") {
    const offer o = default_offer(1428);
    CHECK(o.blksize == 1428);
    CHECK(o.windowsize == 64);
    CHECK(o.tsize == 0);
    CHECK_FALSE(o.timeout);
}

TEST_CASE("the receive buffer holds a window and its bookkeeping", "[driver][request]") {
    parameters p;
    p.blksize = 1428;
    p.windowsize = 64;
    CHECK(receive_buffer_for(p) >= 64 * (1428 + 4));
    p.windowsize = windowsize_max;
    p.blksize = blksize_max;
    CHECK(receive_buffer_for(p) > std::size_t{windowsize_max} * blksize_max);
}

TEST_CASE("only a refusal of options is worth a plain request", "[driver][request][rfc2347]") {
    client_request asked;
    asked.options.blksize = 1428;
    transfer_summary ended;
    ended.outcome = peer_errc::option_refused;
    CHECK(may_fall_back(asked, ended));
    SECTION("not without options") {
        asked.options = {};
        CHECK_FALSE(may_fall_back(asked, ended));
    }
    SECTION("not when told otherwise") {
        asked.fall_back = false;
        CHECK_FALSE(may_fall_back(asked, ended));
    }
    SECTION("not once DATA has come") {
        ended.counters.blocks = 1;
        CHECK_FALSE(may_fall_back(asked, ended));
    }
    SECTION("not for another error") {
        ended.outcome = peer_errc::not_found;
        CHECK_FALSE(may_fall_back(asked, ended));
        ended.outcome = errc::timed_out;
        CHECK_FALSE(may_fall_back(asked, ended));
        ended.outcome = {};
        CHECK_FALSE(may_fall_back(asked, ended));
    }
}

TEST_CASE(
    "the ERROR to the options is told when nothing answers the plain request",
    "[driver][request][rfc2347]"
) {
    transfer_summary refused;
    refused.outcome = peer_errc::option_refused;
    refused.peer_text = "maintenance";
    refused.elapsed = 1s;
    refused.answered = true;
    transfer_summary plain;
    plain.elapsed = 2s;
    plain.counters.timeouts = 3;
    SECTION("silence") {
        const error_code silence = GENERATE(
            make_error_code(errc::timed_out),
            make_error_code(errc::out_of_time),
            make_error_code(boost::system::errc::connection_refused),
            make_error_code(boost::system::errc::host_unreachable)
        );
        plain.outcome = silence;
        const transfer_summary told = after_falling_back(refused, plain);
        CHECK(told.outcome == peer_errc::option_refused);
        CHECK(told.peer_text == "maintenance");
        CHECK(told.answered);
        CHECK(told.counters.timeouts == 3);
        CHECK(told.elapsed == 3s);
        plain.answered = true;
        CHECK(after_falling_back(refused, plain).outcome == silence);
    }
    SECTION("an answer of its own") {
        plain.answered = true;
        plain.outcome = peer_errc::not_found;
        CHECK(after_falling_back(refused, plain).outcome == peer_errc::not_found);
        CHECK(after_falling_back(refused, plain).peer_text.empty());
        plain.outcome = {};
        CHECK_FALSE(after_falling_back(refused, plain).outcome);
    }
    SECTION("an end on this side") {
        plain.outcome = errc::stopped;
        CHECK(after_falling_back(refused, plain).outcome == errc::stopped);
    }
}

TEST_CASE("a request without a limit of time never has to be over", "[driver][request]") {
    client_request asked;
    const time_point now = clock::now();
    CHECK(last_moment(asked, now) == time_point::max());
    asked.time_max = 3s;
    CHECK(last_moment(asked, now) == now + 3s);
    asked.time_max = duration::max();
    CHECK(last_moment(asked, now) == time_point::max());
}
