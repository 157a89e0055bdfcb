#pragma once

#include <cstdint>
#include <sim/world.hpp>

namespace tftp::sim {

/// Returns the schedule of `seed`: swarm testing, so each seed has its own few kinds of trouble,
/// each at its own strength, rather than a little of everything.
[[nodiscard]] schedule random_schedule(std::uint64_t seed);

/// Returns the options of a request: none, or a few.
[[nodiscard]] offer random_offer(prng& random);

/// Returns one direction of a path. many: block numbers will wrap, so no copy may come late.
[[nodiscard]] link_config random_link(prng& random, bool many);

/// Returns true when a transfer gets over all that this link does.
[[nodiscard]] bool mild(const link_config& l) noexcept;

/// Returns true when a transfer is given up no sooner than by default.
[[nodiscard]] bool patient(const engine_config& e) noexcept;

/// Returns true when the trouble of `plan` is so little that the content must arrive whole.
[[nodiscard]] bool must_arrive(const schedule& plan) noexcept;

/// Prints what `plan` holds, one line a group.
void print(const schedule& plan);

} // namespace tftp::sim
