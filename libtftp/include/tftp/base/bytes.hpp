#pragma once

#include <cstddef>
#include <span>

namespace tftp {

/// Octets that are only read.
using bytes_view = std::span<const std::byte>;

/// Octets that are written.
using bytes_span = std::span<std::byte>;

} // namespace tftp
