#pragma once

#include <cstdint>
#include <sim/world.hpp>

namespace tftp::sim {

/// Returns the schedule of `seed`: swarm testing, so each seed has its own few kinds of trouble,
/// each at its own strength, rather than a little of everything.
[[nodiscard]] schedule random_schedule(std::uint64_t seed);

/// Returns true when the trouble of `plan` is so little that the content must arrive whole.
[[nodiscard]] bool must_arrive(const schedule& plan) noexcept;

/// Prints what `plan` holds, one line a group.
void print(const schedule& plan);

} // namespace tftp::sim
