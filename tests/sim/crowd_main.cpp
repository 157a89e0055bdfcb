// Runs random crowds: many clients and one server with its real code, over a simulated
// network, kernel and disk. A seed is a run: the same seed is the same run, on every machine.

#include <fmt/core.h>

#include <cstdint>
#include <sim/batch.hpp>
#include <sim/crowd.hpp>

using namespace tftp::sim;

namespace {

/// A batch of so many seeds must have met everything.
constexpr std::uint64_t seeds_for_all = 2'000;

/// Prints how often each thing happened; returns how many never did.
unsigned print_tally(const tally& seen) {
    unsigned missing = 0;
    for (std::size_t i = 0; i < happenings; ++i) {
        const auto what = static_cast<happening>(i);
        fmt::print("{:>12} {}\n", seen.of(what), to_string(what));
        missing += seen.of(what) == 0 ? 1U : 0U;
    }
    return missing;
}

} // namespace

int main(int argc, char** argv) {
    const batch_arguments a = parse_batch("sim_crowd", argc, argv);
    tally all;
    std::uint64_t clients = 0;
    std::uint64_t events = 0;
    const batch_result sum =
        run_batch("sim_crowd", a, [&](std::uint64_t seed, bool trace, pcap_writer* capture) {
            const crowd_plan plan = random_crowd(seed);
            if (trace) {
                print(plan);
            }
            const crowd_report seen = run(plan, seed, trace, capture);
            all.add(seen.seen);
            clients += seen.clients;
            events += seen.events;
        });
    const unsigned missing = a.trace ? 0 : print_tally(all);
    fmt::print(
        "{} schedules, {} failed, {} clients, {} events, {:.1f} s\n",
        sum.runs,
        sum.failed,
        clients,
        events,
        sum.seconds
    );
    const bool tame = sum.runs >= seeds_for_all && missing != 0;
    if (tame) {
        fmt::print("too tame: {} of the above never happened\n", missing);
    }
    return sum.failed == 0 && !tame ? 0 : 1;
}
