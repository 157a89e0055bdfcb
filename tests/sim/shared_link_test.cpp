// A slow link with its queue, and four transfers over it that begin one after the other.

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

constexpr std::size_t sharers = 4;
constexpr std::uint64_t blocks = 2725;
constexpr std::uint64_t seeds = 2;

/// What four transfers over one link came to.
struct outcome {
    std::size_t failed = 0;
    /// DATA that left again, as a part of all blocks.
    double repeated = 0;
    std::uint64_t acks_again = 0;
    /// The time that link and windows need for it, as a part of the time that it took.
    double goodput = 1;
};

outcome share(const schedule& plan, double ideal_seconds) {
    outcome all;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        double last = 0;
        std::uint64_t again = 0;
        for (const report& seen : run_together(plan, sharers, milliseconds(7), seed, false)) {
            const duration took = seen.client.completed_at - network::start;
            last = std::max(last, std::chrono::duration<double>(took).count());
            again += seen.sender(plan).counters.retransmissions;
            all.acks_again += seen.receiver(plan).counters.retransmissions;
            all.failed += seen.client.outcome.failed() ? 1U : 0U;
        }
        constexpr double sent = static_cast<double>(sharers * (blocks + 1));
        all.repeated = std::max(all.repeated, static_cast<double>(again) / sent);
        all.goodput = std::min(all.goodput, ideal_seconds / last);
    }
    return all;
}

} // namespace

TEST_CASE("four transfers share a slow link", "[sim][slow][pacing]") {
    const auto rate = GENERATE(as<double>(), 256e3, 2e6, 8e6, 100e6);
    const auto queue = GENERATE(50, 400, 2000);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4, 16, 64);
    const bool read = GENERATE(true, false);
    const auto timer_lag = GENERATE(as<duration>(), microseconds(0), microseconds(300));
    schedule plan = plain_read(blocks * 1468 + 1, milliseconds(1));
    plan.read = read;
    plan.asked.blksize = 1468;
    plan.asked.windowsize = windowsize;
    plan.server_driver.commit_lag = duration::zero();
    plan.client_driver.timer_lag = timer_lag;
    plan.server_driver.timer_lag = timer_lag;
    constexpr double packet_bytes = 1468 + 4 + 28;
    const double per_packet = packet_bytes * 8 / rate;
    plan.to_client.per_octet = duration(static_cast<duration::rep>(per_packet * 1e9 / 1472));
    plan.to_server.per_octet = plan.to_client.per_octet;
    link_config& narrow = read ? plan.to_client : plan.to_server;
    narrow.queue = static_cast<std::uint32_t>(queue / 1000.0 / per_packet) + 1;
    if (narrow.queue < sharers) {
        // No room for one packet of each: who is shut out stays out, whatever he does.
        return;
    }
    const bool holds = narrow.queue >= windowsize * sharers;
    const bool lags = timer_lag != duration::zero();
    if (holds && lags) {
        return;
    }
    const auto of_each = static_cast<double>(blocks + 1);
    const double of_link = sharers * of_each * per_packet;
    const double of_windows = of_each * (per_packet + 0.001 / windowsize);
    const outcome seen = share(plan, std::max(of_link, of_windows));
    INFO(
        rate << " bit/s, queue of " << narrow.queue << ", window " << windowsize
             << (read ? ", read" : ", write") << ": goodput " << seen.goodput << ", repeated "
             << seen.repeated << ", ACKs again " << seen.acks_again << (lags ? ", timers late" : "")
    );
    CHECK(seen.failed == 0);
    if (holds) {
        CHECK(seen.repeated == 0);
        CHECK(seen.acks_again <= seeds);
        CHECK(seen.goodput >= 0.95);
        return;
    }
    // Each loses most of its first window, and of a second that finds the queue full. Where that is
    // a large part of the file, there is more than 5 %.
    const double most = narrow.queue < windowsize ? 0.09 : 0.05;
    CHECK(seen.repeated <= (lags ? 0.15 : most));
    CHECK(seen.goodput >= (lags ? 0.70 : 0.80));
}
