#pragma once

#include <cstddef>

namespace tftp::sim::heap {

/// Returns how many allocations of operator new live now, in the whole program.
[[nodiscard]] std::size_t blocks() noexcept;

/// Returns how many bytes they hold.
[[nodiscard]] std::size_t octets() noexcept;

} // namespace tftp::sim::heap
