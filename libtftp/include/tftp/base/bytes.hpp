#pragma once

#include <cstddef>
#include <span>

namespace tftp {

/// Bytes that are only read.
using bytes_view = std::span<const std::byte>;

/// Bytes that are written.
using bytes_span = std::span<std::byte>;

} // namespace tftp
