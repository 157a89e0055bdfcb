#pragma once

#include <cstdint>
#include <optional>

namespace tftp {

/// What follows block 65535 on the wire. The RFCs do not say; see docs/reference/protocol.md
/// "Rollover".
enum class rollover : std::uint8_t { to_zero, to_one, forbidden };

/// Returns the wire number of `block` (1-based; 0 is the ACK before the first DATA).
///
/// With `forbidden` the caller guarantees block <= 65535.
[[nodiscard]] constexpr std::uint16_t to_wire(std::uint64_t block, rollover policy) noexcept {
    if (policy == rollover::to_one && block != 0) {
        return static_cast<std::uint16_t>((block - 1) % 65535 + 1);
    }
    return static_cast<std::uint16_t>(block & 0xffff);
}

/// Returns the block in [first, first + count) whose wire number is `wire`.
///
/// count: 1..65535 blocks, so at most one matches. Empty when none does: the packet is stale or
/// forged; ignore it. RFC 7440 s.4 bounds the range; rollover is outside the RFCs.
[[nodiscard]] std::optional<std::uint64_t>
from_wire(std::uint16_t wire, std::uint64_t first, std::uint32_t count, rollover policy) noexcept;

} // namespace tftp
