#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
};

struct batch_result {
    std::uint64_t runs = 0;
    std::uint64_t failed = 0;
    double seconds = 0;
};

/// Reads the command line of `program`; ends the process when it makes no sense.
[[nodiscard]] batch_arguments parse_batch(const char* program, int argc, char** argv);

/// Runs every seed that `a` asks for; a seed fails when `run` throws `violation`. Tells how to
/// replay each that fails, one that ends in a crash or an assertion as well.
///
/// program: static storage.
[[nodiscard]] batch_result run_batch(
    const char* program,
    const batch_arguments& a,
    const std::function<void(std::uint64_t seed, bool trace)>& run
);

} // namespace tftp::sim
