#pragma once

#include <cstdint>
#include <sim/crowd_plan.hpp>
#include <sim/tally.hpp>

namespace tftp::sim {

/// What happened in one run.
struct crowd_report {
    tally seen;
    std::uint64_t clients = 0;
    std::uint64_t events = 0;
    /// Virtual time until nothing was left to do.
    duration lasted{};
};

/// Runs one crowd to its end and checks every invariant; throws `violation`.
[[nodiscard]] crowd_report run(const crowd_plan& plan, std::uint64_t seed, bool trace);

} // namespace tftp::sim
