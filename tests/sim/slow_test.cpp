// Peers that are merely slow, and links that are: nothing is repeated to them.

#include <catch2/catch.hpp>

#include <cstdint>
#include <sim/presets.hpp>

namespace {

using namespace tftp;
using namespace tftp::sim;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t blksize = 1024;

/// Returns a transfer of `blocks` full blocks and a short one over a path of 0.2 ms.
schedule transfer_of(std::uint64_t blocks, bool read, std::uint16_t windowsize) {
    schedule s = plain_read(blocks * blksize + 1, microseconds(200));
    s.read = read;
    s.asked.blksize = blksize;
    s.asked.windowsize = windowsize;
    s.server_driver.commit_lag = duration::zero();
    return s;
}

/// The program at the receiving or the sending end of `plan`.
driver_config& slow_end(schedule& plan, bool receiver_is_slow) {
    return receiver_is_slow == plan.read ? plan.client_driver : plan.server_driver;
}

std::uint64_t repeats(const report& seen) {
    return seen.server.counters.retransmissions + seen.client.counters.retransmissions;
}

report finish(const schedule& plan, std::uint64_t seed = 1) {
    const report seen = run(plan, seed, false);
    REQUIRE_FALSE(seen.client.outcome.failed());
    REQUIRE_FALSE(seen.server.outcome.failed());
    REQUIRE(seen.receiver(plan).committed);
    return seen;
}

double seconds_of(const report& seen) {
    return std::chrono::duration<double>(seen.client.completed_at - network::start).count();
}

} // namespace

TEST_CASE("a peer that needs long for each datagram gets each block once", "[sim][slow]") {
    const auto each = GENERATE(
        milliseconds(5),
        milliseconds(15),
        milliseconds(25),
        milliseconds(40),
        milliseconds(100),
        milliseconds(300),
        milliseconds(700)
    );
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    const bool receiver = GENERATE(true, false);
    const bool first_fast = GENERATE(true, false);
    schedule plan = transfer_of(200, read, windowsize);
    driver_config& slow = slow_end(plan, receiver);
    slow.busy = each;
    slow.batch_max = 1;
    slow.busy_from = first_fast ? 2 : 0;
    const report seen = finish(plan);
    INFO(
        each.count() << " ms, window " << windowsize << (read ? ", read" : ", write")
                     << (receiver ? ", slow receiver" : ", slow sender")
                     << (first_fast ? ", first fast" : "")
    );
    CHECK(repeats(seen) == 0);
    const std::uint64_t answers = receiver ? 201 : (200U + windowsize) / windowsize;
    const double ideal =
        static_cast<double>(answers + 1) * std::chrono::duration<double>(each).count();
    CHECK(seconds_of(seen) <= ideal * 1.05 + 0.2);
}

TEST_CASE("a stall for each sector costs few repeats", "[sim][slow]") {
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    const bool receiver = GENERATE(true, false);
    const auto stall = GENERATE(milliseconds(100), milliseconds(300), milliseconds(1500));
    const auto every = GENERATE(as<std::uint32_t>(), 8, 100, 128, 129);
    schedule plan = transfer_of(1280, read, windowsize);
    driver_config& slow = slow_end(plan, receiver);
    slow.busy = microseconds(500);
    slow.batch_max = 1;
    slow.stall = stall;
    slow.stall_every = receiver ? every : std::max(2U, every / windowsize);
    const report seen = finish(plan);
    INFO(
        stall.count() << " ms every " << every << ", window " << windowsize
                      << (read ? ", read" : ", write")
                      << (receiver ? ", slow receiver" : ", slow sender")
    );
    CHECK(repeats(seen) <= 6);
}

TEST_CASE("a sender that pauses in a window is asked few times", "[sim][slow]") {
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    const auto pause = GENERATE(milliseconds(100), milliseconds(300), milliseconds(1500));
    const auto every = GENERATE(as<std::uint32_t>(), 127, 128, 129, 200);
    schedule plan = transfer_of(1280, read, windowsize);
    driver_config& slow = slow_end(plan, false);
    slow.pause = pause;
    slow.pause_every = every;
    const report seen = finish(plan);
    INFO(
        pause.count() << " ms every " << every << ", window " << windowsize
                      << (read ? ", read" : ", write")
    );
    CHECK(repeats(seen) <= 6);
}

TEST_CASE("a peer that once took long costs three repeats", "[sim][slow]") {
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    const bool receiver = GENERATE(true, false);
    schedule plan = transfer_of(4000, read, windowsize);
    driver_config& slow = slow_end(plan, receiver);
    slow.busy = microseconds(500);
    slow.batch_max = 1;
    slow.stall = milliseconds(1500);
    slow.stall_every = receiver ? 1000U : std::max(2U, 1000U / windowsize);
    slow.stall_last = slow.stall_every;
    const std::uint64_t once = repeats(finish(plan));
    slow.stall_last = 0;
    const std::uint64_t again = repeats(finish(plan));
    INFO(
        "window " << windowsize << (read ? ", read" : ", write")
                  << (receiver ? ", slow receiver" : ", slow sender")
    );
    CHECK(once <= 3);
    CHECK(again <= once);
}

TEST_CASE("a round trip that becomes longer costs few repeats", "[sim][slow]") {
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    const bool receiver = GENERATE(true, false);
    schedule plan = transfer_of(300, read, windowsize);
    driver_config& slow = slow_end(plan, receiver);
    slow.wake_lag = duration::zero();
    slow.batch_max = windowsize;
    slow.busy = milliseconds(59);
    slow.busy_from = receiver ? 150U : 2U + 150U / windowsize;
    if (receiver && windowsize > 1) {
        slow.busy = milliseconds(15);
    }
    const report seen = finish(plan);
    INFO(
        "window " << windowsize << (read ? ", read" : ", write")
                  << (receiver ? ", slow receiver" : ", slow sender")
    );
    CHECK(repeats(seen) <= 6);
}

TEST_CASE("jitter far above the round trip costs few repeats", "[sim][slow]") {
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 64);
    const bool read = GENERATE(true, false);
    schedule plan = transfer_of(windowsize == 64 ? 6400 : 1500, read, windowsize);
    plan.to_server.delay = microseconds(500);
    plan.to_client.delay = microseconds(500);
    plan.to_server.jitter = milliseconds(15);
    plan.to_client.jitter = milliseconds(15);
    std::uint64_t sum = 0;
    std::uint64_t blocks = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const report seen = finish(plan, seed);
        sum += repeats(seen);
        blocks += seen.sender(plan).counters.blocks;
    }
    INFO("window " << windowsize << (read ? ", read: " : ", write: ") << sum << " of " << blocks);
    CHECK(sum * 100 < blocks);
}

TEST_CASE("a slow link carries each block once, at its speed", "[sim][slow][pacing]") {
    // bit/s, queue in milliseconds of the link.
    const auto rate = GENERATE(as<double>(), 256e3, 2e6, 8e6, 100e6);
    const auto queue = GENERATE(50, 400, 2000);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 16, 64);
    const bool read = GENERATE(true, false);
    schedule plan = plain_read(2725ULL * 1468 + 1, milliseconds(1));
    plan.read = read;
    plan.asked.blksize = 1468;
    plan.asked.windowsize = windowsize;
    plan.server_driver.commit_lag = duration::zero();
    link_config& narrow = read ? plan.to_client : plan.to_server;
    constexpr double packet_bytes = 1468 + 4 + 28;
    const double per_packet = packet_bytes * 8 / rate;
    narrow.per_octet = duration(static_cast<duration::rep>(per_packet * 1e9 / 1472));
    const double room = queue / 1000.0 / per_packet;
    narrow.queue = static_cast<std::uint32_t>(room) + 1;
    const report seen = finish(plan);
    const double windows = 2725.0 / windowsize;
    const double ideal = 2726 * per_packet + windows * 0.001;
    const double goodput = ideal / seconds_of(seen);
    const double twice = static_cast<double>(repeats(seen)) / 2726;
    INFO(
        rate << " bit/s, queue of " << narrow.queue << ", window " << windowsize
             << (read ? ", read" : ", write") << ": goodput " << goodput << ", repeated " << twice
    );
    if (narrow.queue >= windowsize) {
        CHECK(repeats(seen) == 0);
        CHECK(goodput >= 0.95);
    } else {
        CHECK(twice <= 0.05);
        CHECK(goodput >= 0.80);
    }
}
