// How fast transfers are under trouble, relative to the same transfer without it, and how many
// blocks they send twice.

#include <catch2/catch.hpp>

#include <cstdint>
#include <sim/presets.hpp>

namespace {

using namespace tftp;
using namespace tftp::sim;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Averages over a few seeds: one lucky seed is no floor.
constexpr std::uint64_t seeds = 20;

/// Returns the mean time that the content took to arrive.
double seconds_for(const schedule& plan) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        REQUIRE_FALSE(seen.receiver(plan).outcome.failed());
        REQUIRE(seen.receiver(plan).committed);
        sum += std::chrono::duration<double>(seen.receiver(plan).completed_at - network::start)
                   .count();
    }
    return sum / seeds;
}

/// Returns the goodput of `plan` as a part of that of `calm`.
double goodput(const schedule& plan, const schedule& calm) {
    return seconds_for(calm) / seconds_for(plan);
}

/// Returns how many DATA were sent for each block, less one.
double repeated(const schedule& plan) {
    std::uint64_t sent = 0;
    std::uint64_t blocks = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        REQUIRE_FALSE(seen.receiver(plan).outcome.failed());
        sent += seen.sender(plan).data_sent;
        blocks += seen.sender(plan).counters.blocks;
    }
    return static_cast<double>(sent) / static_cast<double>(blocks) - 1;
}

schedule windowed_read(std::uint64_t size, duration round_trip, std::uint16_t windowsize) {
    schedule s = plain_read(size, round_trip);
    s.asked.blksize = 1024;
    s.asked.windowsize = windowsize;
    return s;
}

} // namespace

TEST_CASE("lockstep keeps 60 % of its goodput at 1 % loss each way", "[sim][goodput]") {
    const schedule calm = plain_read(1'000'000, milliseconds(1));
    schedule plan = calm;
    lose(plan, 10'000);
    const double kept = goodput(plan, calm);
    INFO("kept " << kept);
    CHECK(kept >= 0.60);
}

TEST_CASE("lockstep keeps 10 % of its goodput at 10 % loss each way", "[sim][goodput]") {
    const schedule calm = plain_read(500'000, milliseconds(1));
    schedule plan = calm;
    lose(plan, 100'000);
    const double kept = goodput(plan, calm);
    INFO("kept " << kept);
    CHECK(kept >= 0.10);
}

TEST_CASE("a window of 64 keeps 45 % of its goodput at 1 % loss each way", "[sim][goodput]") {
    const schedule calm = windowed_read(8'000'000, milliseconds(1), 64);
    schedule plan = calm;
    lose(plan, 10'000);
    const double kept = goodput(plan, calm);
    INFO("kept " << kept << ", repeated " << repeated(plan));
    CHECK(kept >= 0.45);
}

TEST_CASE("a write with a window keeps 45 % of its goodput at 1 % loss", "[sim][goodput]") {
    schedule calm = windowed_read(8'000'000, milliseconds(1), 64);
    calm.read = false;
    schedule plan = calm;
    lose(plan, 10'000);
    const double kept = goodput(plan, calm);
    INFO("kept " << kept << ", repeated " << repeated(plan));
    CHECK(kept >= 0.45);
}

TEST_CASE("jitter on a long path causes no repeats in lockstep", "[sim][goodput]") {
    schedule plan = plain_read(200'000, milliseconds(400));
    const auto jitter = GENERATE(milliseconds(25), milliseconds(50));
    plan.to_server.jitter = jitter;
    plan.to_client.jitter = jitter;
    std::uint64_t repeats = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        repeats += seen.server.counters.retransmissions + seen.client.counters.retransmissions;
        CHECK(seen.client.committed);
    }
    CHECK(repeats == 0);
}

TEST_CASE("jitter on a long path causes no repeats with a window", "[sim][goodput]") {
    schedule plan =
        windowed_read(2'000'000, milliseconds(400), GENERATE(as<std::uint16_t>(), 4, 16, 64));
    plan.read = GENERATE(true, false);
    const auto jitter = GENERATE(milliseconds(25), milliseconds(50));
    plan.to_server.jitter = jitter;
    plan.to_client.jitter = jitter;
    std::uint64_t repeats = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        repeats += seen.server.counters.retransmissions + seen.client.counters.retransmissions;
        CHECK(seen.receiver(plan).committed);
    }
    CHECK(repeats == 0);
}

TEST_CASE("doubled ACKs cause no repeats in lockstep", "[sim][rfc1123]") {
    schedule plan = plain_read(100'000, milliseconds(1));
    plan.to_server.duplicate_ppm = 1'000'000;
    const auto lag = GENERATE(microseconds(0), microseconds(300), microseconds(5000));
    plan.to_server.duplicate_lag = lag;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK(seen.server.data_sent == 100'000 / 512 + 1);
        CHECK(seen.client.committed);
    }
}

TEST_CASE("doubled ACKs cause few repeats with a window", "[sim][rfc7440]") {
    const auto lag = GENERATE(microseconds(0), microseconds(300), microseconds(900));
    const auto windowsize = GENERATE(std::uint16_t{4}, std::uint16_t{16}, std::uint16_t{64});
    schedule plan = windowed_read(4'000'000, milliseconds(1), windowsize);
    plan.to_server.duplicate_ppm = 1'000'000;
    plan.to_server.duplicate_lag = lag;
    const double twice = repeated(plan);
    INFO("window " << windowsize << ", copies within " << lag.count() << " us: " << twice);
    CHECK(twice <= 0.05);
}

TEST_CASE("a receiver with a small queue gets its blocks about once", "[sim][pacing]") {
    schedule plan = windowed_read(16'777'216, milliseconds(1), 64);
    plan.to_client.per_datagram = microseconds(50);
    plan.to_client.queue = 16;
    const double twice = repeated(plan);
    const double rate = 16'777'216 / seconds_for(plan) / 1024;
    INFO("repeated " << twice << ", blocks a second " << rate);
    CHECK(twice <= 0.05);
    CHECK(rate >= 10'000);
}

TEST_CASE("full speed returns when the gaps stop", "[sim][pacing]") {
    schedule calm = windowed_read(0, milliseconds(1), 64);
    schedule plan = calm;
    plan.to_client.per_datagram = microseconds(50);
    plan.to_client.queue = 16;
    plan.to_client.narrow_until = milliseconds(500);
    // The same run to two lengths: the difference is what the end of it took.
    const auto end_of = [](schedule s, std::uint64_t seed) {
        const auto took = [&s, seed](std::uint64_t size) {
            s.size = size;
            const report seen = run(s, seed, false);
            REQUIRE(seen.client.committed);
            return std::chrono::duration<double>(seen.client.completed_at - network::start).count();
        };
        return took(192'000'000) - took(128'000'000);
    };
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const double kept = end_of(calm, seed) / end_of(plan, seed);
        INFO("seed " << seed << ": " << kept);
        CHECK(kept >= 0.95);
    }
}

TEST_CASE("a small queue beside some loss on the wire ends in good time", "[sim][pacing]") {
    schedule plan = windowed_read(4'000'000, milliseconds(1), 64);
    plan.to_client.per_datagram = microseconds(50);
    plan.to_client.queue = 16;
    lose(plan, 1'000);
    const double rate = 4'000'000 / seconds_for(plan) / 1024;
    INFO("repeated " << repeated(plan) << ", blocks a second " << rate);
    CHECK(rate >= 7'000);
}
