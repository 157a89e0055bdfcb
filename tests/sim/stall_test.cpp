// How long a transfer stands still because something was lost, while nothing tells it from a peer
// that is slow.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sim/presets.hpp>
#include <vector>

namespace {

using namespace tftp;
using namespace tftp::sim;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t schedules = 300;

} // namespace

TEST_CASE("a short transfer through loss is not taken for one to a slow peer", "[sim][stall]") {
    const bool read = GENERATE(true, false);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 4, 32, 64);
    const auto blocks = GENERATE(as<std::uint64_t>(), 3, 40, 70, 200);
    INFO((read ? "read" : "write") << ", window " << windowsize << ", blocks " << blocks);
    schedule plan = plain_read(blocks * 512 + 1, milliseconds(1));
    plan.read = read;
    plan.asked.windowsize = windowsize;
    lose(plan, 20'000);
    std::vector<double> took;
    for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK_FALSE(seen.client.outcome.failed());
        took.push_back(
            std::chrono::duration<double>(seen.client.completed_at - network::start).count()
        );
    }
    std::ranges::sort(took);
    // The first packets that are lost cost a second each: nothing is known of the path then.
    CHECK(took[schedules / 2] < 0.2);
    CHECK(took[schedules * 98 / 100] < 3);
    CHECK(took.back() < 12);
}

TEST_CASE("loss on the wire is not taken for a slow link", "[sim][stall][pacing]") {
    const bool read = GENERATE(true, false);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 16, 64, 256);
    const bool long_one = GENERATE(false, true);
    const auto round_trip = GENERATE(as<duration>(), microseconds(100), milliseconds(20));
    const auto timer_lag = GENERATE(as<duration>(), microseconds(0), milliseconds(1));
    if (long_one && windowsize != 256) {
        return;
    }
    INFO(
        (read ? "read" : "write") << ", window " << windowsize << (long_one ? ", long" : "")
                                  << ", timers late by " << timer_lag.count() << " ns"
    );
    schedule plan = plain_read((long_one ? 17'000 : 1700) * 512 + 1, round_trip);
    plan.read = read;
    plan.asked.windowsize = windowsize;
    plan.client_driver.timer_lag = timer_lag;
    plan.server_driver.timer_lag = timer_lag;
    lose(plan, 20'000);
    const std::uint64_t seeds = long_one ? 8 : 100;
    const std::chrono::seconds most(long_one ? 40 : 12);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK_FALSE(seen.client.outcome.failed());
        CHECK(seen.client.completed_at - network::start < most);
    }
}
