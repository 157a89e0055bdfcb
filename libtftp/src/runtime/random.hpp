#pragma once

#include <cstdint>

namespace tftp {

/// Returns 64 random bits that nobody outside of this process can foretell, but which are no secret
/// to keep: for ports and for names of temporary files.
///
/// Never waits and never fails: where getrandom(2) is refused, or has no entropy yet, they come
/// from what the kernel gave this process at its start. Thread-safe.
[[nodiscard]] std::uint64_t random_bits() noexcept;

} // namespace tftp
