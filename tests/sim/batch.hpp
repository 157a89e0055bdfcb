#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <sim/pcap.hpp>
#include <string>

namespace tftp::sim {

/// Which seeds a swarm runs.
struct batch_arguments {
    std::uint64_t first = 1;
    std::uint64_t seeds = 0;
    std::uint64_t seconds = 0;
    std::optional<std::uint64_t> seed;
    bool trace = false;
    /// Seeds that run first, one a line with a reason behind it.
    std::string replay;
    /// Where failing seeds are kept.
    std::string keep;
    /// Capture file of `seed`, which is then all that runs.
    std::optional<std::string> pcap;
};

struct batch_result {
    std::uint64_t runs = 0;
    std::uint64_t failed = 0;
    double seconds = 0;
};

/// Runs one seed. capture: where it records its datagrams; null for nowhere.
using run_function = std::function<void(std::uint64_t seed, bool trace, pcap_writer* capture)>;

/// Reads the command line of `program`; ends the process when it makes no sense, or asks for help.
[[nodiscard]] batch_arguments parse_batch(const char* program, int argc, char** argv);

/// Runs every seed that `a` asks for; a seed fails when `run` throws `violation`. Tells how to
/// replay each that fails, one that ends in a crash or an assertion as well. Ends the process when
/// the capture file cannot be written.
///
/// program: static storage.
[[nodiscard]] batch_result
run_batch(const char* program, const batch_arguments& a, const run_function& run);

} // namespace tftp::sim
