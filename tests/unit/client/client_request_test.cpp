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

TEST_CASE("options are automatic unless a request says which", "[driver][request]") {
    client_request asked;
    asked.server = endpoint::ipv4(127, 0, 0, 1, 69);
    const offer automatic = offer_for(asked);
    CHECK(automatic == default_offer(default_blksize(asked.server)));
    CHECK(automatic.blksize == 8192); // the MTU of the loopback interface holds more
    CHECK(automatic.windowsize == 32);
    asked.options = no_options;
    CHECK(offer_for(asked).empty());
    asked.options = offer{.windowsize = 4};
    CHECK(offer_for(asked) == *asked.options);
    CHECK(default_blksize({}) == 1428); // there is no route to nobody
}

TEST_CASE("a failure has a side", "[driver][request]") {
    namespace conditions = boost::system::errc;
    const auto side = [](auto code, bool of_content = false) {
        return side_of(make_error_code(code), of_content);
    };
    CHECK(side_of({}, false) == failing_side::none);
    CHECK(side(peer_errc::undefined) == failing_side::peer);
    CHECK(side(errc::truncated) == failing_side::peer);
    CHECK(side(errc::timed_out) == failing_side::network);
    CHECK(side(errc::unknown_host) == failing_side::network);
    CHECK(side(conditions::connection_refused) == failing_side::network);
    CHECK(side(conditions::permission_denied) == failing_side::network);
    CHECK(side(conditions::permission_denied, true) == failing_side::content);
    CHECK(side(errc::source_shrank) == failing_side::content);
    CHECK(side(errc::too_large, true) == failing_side::own);
    CHECK(side(errc::out_of_time) == failing_side::own);
    CHECK(side(conditions::not_enough_memory) == failing_side::own);
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
    asked.options = no_options;
    asked.options->blksize = 1428;
    transfer_summary ended;
    ended.asked = *asked.options;
    ended.outcome = peer_errc::option_refused;
    CHECK(may_fall_back(asked, ended));
    SECTION("not without options") {
        ended.asked = no_options;
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
    refused.failed = failing_side::peer;
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
        CHECK(told.failed == failing_side::peer);
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
    asked.options = no_options;
    const time_point now = clock::now();
    CHECK(last_moment(asked, now) == time_point::max());
    asked.timeout = 3s;
    CHECK(last_moment(asked, now) == now + 3s);
    asked.timeout = duration::max();
    CHECK(last_moment(asked, now) == time_point::max());
}
