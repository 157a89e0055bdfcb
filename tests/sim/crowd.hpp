#pragma once

#include <cstdint>
#include <sim/crowd_plan.hpp>
#include <sim/pcap.hpp>
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
///
/// capture: gets each datagram that leaves; null for none.
[[nodiscard]] crowd_report
run(const crowd_plan& plan, std::uint64_t seed, bool trace, pcap_writer* capture = nullptr);

} // namespace tftp::sim
