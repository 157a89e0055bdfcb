// Runs random schedules of one client and one server, engine against engine. A seed is a run: the
// same seed is the same run, on every machine.

#include <fmt/core.h>

#include <cstdint>
#include <sim/batch.hpp>
#include <sim/random_schedule.hpp>

using namespace tftp::sim;

int main(int argc, char** argv) {
    const batch_arguments a = parse_batch("sim_swarm", argc, argv);
    std::uint64_t events = 0;
    std::uint64_t arrived = 0;
    std::uint64_t expected = 0;
    const batch_result sum =
        run_batch("sim_swarm", a, [&](std::uint64_t seed, bool trace, pcap_writer* capture) {
            const schedule plan = random_schedule(seed);
            if (trace) {
                print(plan);
            }
            const report seen = run(plan, seed, trace, capture);
            const bool whole =
                seen.receiver(plan).committed && !seen.receiver(plan).outcome.failed();
            events += seen.events;
            arrived += whole ? 1U : 0U;
            if (must_arrive(plan)) {
                ++expected;
                require(whole, "the content did not arrive, though there was little trouble");
            }
        });
    fmt::print(
        "{} schedules, {} failed, {} whole ({} had to be), {} events, {:.1f} s\n",
        sum.runs,
        sum.failed,
        arrived,
        expected,
        events,
        sum.seconds
    );
    return sum.failed == 0 ? 0 : 1;
}
