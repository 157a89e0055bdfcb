#include "fake_socket.hpp"
#include "support/octets.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using calls = std::vector<std::string>;

/// The number of the first block of a run, and how many it has.
struct run_facts {
    unsigned first;
    std::size_t count;

    friend bool operator==(const run_facts&, const run_facts&) = default;
};

run_facts facts_of(const std::pair<datagram, std::size_t>& run) {
    const auto& [bytes, segment] = run;
    return {
        std::to_integer<unsigned>(bytes[2]) << 8 | std::to_integer<unsigned>(bytes[3]),
        (bytes.size() + segment - 1) / segment};
}

/// The content of a run, without the headers.
std::string content_of(const std::pair<datagram, std::size_t>& run) {
    const auto& [bytes, segment] = run;
    std::string all;
    for (std::size_t at = 0; at < bytes.size(); at += segment) {
        const bytes_view rest = bytes_view(bytes).subspan(at);
        all += text(rest.first(std::min(segment, rest.size())).subspan(4));
    }
    return all;
}

option_pairs window_of(std::size_t blksize, unsigned windowsize) {
    return {{"blksize", std::to_string(blksize)}, {"windowsize", std::to_string(windowsize)}};
}

} // namespace

TEST_CASE("a run fits one segmented send", "[transfer][send_path]") {
    const auto [blksize, windowsize, first, rest] =
        GENERATE(table<std::size_t, unsigned, std::size_t, std::size_t>({
            // 65,507 bytes hold 45 datagrams of 1432.
            {1428, 64, 45, 19},
            // 64 segments are the most.
            {512, 70, 64, 6},
            {65464, 2, 1, 1},
        }));
    path_bench b(make_content(blksize * windowsize + 1, 1), window_of(blksize, windowsize));
    b.begin();
    b.say(ack(0));
    REQUIRE(b.socket.runs.size() == 2);
    CHECK((facts_of(b.socket.runs[0]) == run_facts{1, first}));
    CHECK((facts_of(b.socket.runs[1]) == run_facts{static_cast<unsigned>(first) + 1, rest}));
    CHECK(b.socket.runs[0].first.size() <= 65507);
}

TEST_CASE("a corked run whose content was cut off is dropped", "[transfer][send_path][in_place]") {
    path_bench b(make_content(40'000, 1), window_of(16384, 1));
    b.socket.corks = true;
    b.source->placed = true;
    b.begin();
    b.say(ack(0));
    CHECK(b.socket.calls == calls{"send", "cork", "release"});
    CHECK((content_of(b.socket.runs[0]) == make_content(40'000, 1).substr(0, 16384)));
    b.socket.calls.clear();
    b.source->cut = true;
    b.say(ack(1));
    // Then the ERROR.
    CHECK(b.socket.calls == calls{"cork", "drop", "send"});
    CHECK(b.socket.runs.size() == 1);
}

TEST_CASE("a cold read that an ACK has overtaken is not sent", "[transfer][send_path]") {
    const std::string content = make_content(16 * 512, 1);
    constexpr bool hosted = true;
    path_bench b(content, {{"windowsize", "4"}}, hosted);
    b.begin();
    b.say(ack(0));
    REQUIRE(b.socket.runs.size() == 1);
    b.source->cold = true;
    // The second half of the window seems lost, and is read again; then it was only late.
    b.say(ack(2));
    REQUIRE(b.host.jobs.size() == 1);
    b.say(ack(4));
    b.host.work();
    CHECK(b.socket.runs.size() == 1);
    REQUIRE(b.host.jobs.size() == 1);
    b.host.work();
    REQUIRE(b.socket.runs.size() == 2);
    CHECK(facts_of(b.socket.runs[1]).first == 5);
    CHECK((content_of(b.socket.runs[1]) == content.substr(4 * 512, 4 * 512)));
}

TEST_CASE("an unknown peer waits for no room in a port of many", "[transfer][send_path]") {
    path_bench b(make_content(3000, 1));
    b.socket.descriptor = -1;
    const error_code full = system_error(EAGAIN);
    SECTION("so its first block counts as lost") {
        b.socket.run_errors = {full};
        b.begin();
        CHECK_FALSE(b.under_test->wants().write);
        b.pass(*b.under_test->deadline() - b.now);
        REQUIRE(b.socket.runs.size() == 1);
        CHECK(b.under_test->counters().retransmissions == 1);
    }
    SECTION("but one that has answered does") {
        b.begin();
        b.socket.run_errors = {full};
        b.say(ack(1));
        CHECK(b.under_test->wants().write);
        b.under_test->on_writable(b.memory, b.now);
        REQUIRE(b.socket.runs.size() == 2);
        CHECK(b.under_test->counters().retransmissions == 0);
    }
}

TEST_CASE("what a sender says to have sent is never too little", "[transfer][send_path]") {
    const auto [size, blksize] =
        GENERATE(table<std::size_t, std::size_t>({{10, 65464}, {3000, 512}, {40'000, 16384}}));
    path_bench b(make_content(size, 1), {{"blksize", std::to_string(blksize)}});
    b.begin();
    const auto check = [&b] { CHECK(b.under_test->bytes_sent() >= b.socket.bytes); };
    check();
    b.pass(*b.under_test->deadline() - b.now);
    check();
    b.say(ack(0));
    check();
    b.pass(*b.under_test->deadline() - b.now);
    CHECK(b.socket.runs.size() == 2);
    check();
    if (size < blksize) {
        // A client is not charged for a block that its file cannot fill.
        CHECK(b.under_test->bytes_sent() < 1000);
    }
}

TEST_CASE("a sender takes few messages at a time", "[transfer][send_path]") {
    const bool windows = GENERATE(false, true);
    path_bench b(make_content(9000, 1), windows ? window_of(512, 4) : option_pairs{});
    b.begin();
    b.say(ack(windows ? 0 : 1));
    CHECK(b.socket.receives == std::vector<std::size_t>{windows ? 8U : 1U});
}
