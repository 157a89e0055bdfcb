#include "fake_socket.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;

namespace {

constexpr bool hosted = true;

/// `count` blocks of 512 bytes in one coalesced message.
datagram coalesced(std::uint16_t count) {
    datagram all;
    for (std::uint16_t block = 1; block <= count; ++block) {
        const datagram one = data(block);
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

} // namespace

TEST_CASE(
    "more than 64 blocks at once are several writes and one ACK", "[transfer][receive_path]"
) {
    constexpr std::uint16_t count = 100;
    path_bench b(option_pairs{{"windowsize", std::to_string(count)}});
    b.begin();
    CHECK(b.say(coalesced(count), 516));
    CHECK(b.sink->writes == 2);
    REQUIRE(b.sink->content.size() == count * 512U);
    for (std::size_t block = 1; block <= count; ++block) {
        const char expected = static_cast<char>(block);
        CHECK(b.sink->content.substr((block - 1) * 512, 512) == std::string(512, expected));
    }
    // The OACK and the ACK.
    CHECK(b.socket.calls == std::vector<std::string>{"send", "send"});
}

TEST_CASE("a size announced in netascii is not reserved", "[transfer][receive_path]") {
    const auto mode = GENERATE(transfer_mode::octet, transfer_mode::netascii);
    path_bench b(option_pairs{{"tsize", "700"}}, false, mode);
    b.begin();
    b.say(data(1));
    CHECK(b.sink->reserved.has_value() == (mode == transfer_mode::octet));
    CHECK(b.sink->writes == 1);
}

TEST_CASE("an empty file is committed without a write", "[transfer][receive_path]") {
    const bool far = GENERATE(false, true);
    path_bench b(option_pairs{}, hosted);
    b.sink->far = far;
    b.begin();
    b.say(data(1, 0));
    while (!b.host.jobs.empty()) {
        b.host.work();
    }
    CHECK(b.sink->writes == 0);
    CHECK(b.sink->commits == 1);
    CHECK(b.under_test->completed());
    CHECK_FALSE(b.under_test->failed());
}

TEST_CASE("nothing is received while a write runs elsewhere", "[transfer][receive_path]") {
    path_bench b(option_pairs{}, hosted);
    b.sink->far = true;
    b.begin();
    CHECK(b.say(data(1)));
    REQUIRE(b.host.jobs.size() == 1);
    CHECK_FALSE(b.say(data(2)));
    CHECK(b.socket.receives.size() == 1);
    b.host.work();
    CHECK(b.under_test->on_readable(b.memory, b.now));
    CHECK(b.socket.receives.size() == 2);
    b.host.work();
    CHECK(b.sink->content.size() == 2 * 512);
}

TEST_CASE("a receiver takes a window at a time, or one block", "[transfer][receive_path]") {
    const bool windows = GENERATE(false, true);
    path_bench b(windows ? option_pairs{{"windowsize", "4"}} : option_pairs{});
    b.begin();
    b.say(data(1));
    CHECK(b.socket.receives == std::vector<std::size_t>{windows ? scratch::receive_slots : 1U});
}

TEST_CASE("what a receiver says to have sent is never too little", "[transfer][receive_path]") {
    path_bench b(option_pairs{{"tsize", "700"}, {"windowsize", "4"}});
    b.begin();
    CHECK(b.under_test->bytes_sent() >= b.socket.bytes);
    b.pass(*b.under_test->deadline() - b.now);
    CHECK(b.socket.calls.size() == 2);
    CHECK(b.under_test->bytes_sent() >= b.socket.bytes);
    CHECK(b.under_test->bytes_sent() <= 128 * b.socket.calls.size());
}
