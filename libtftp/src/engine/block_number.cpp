#include <tftp/engine/block_number.hpp>

#include <algorithm>

namespace tftp {

namespace {

constexpr std::uint32_t wire_max = 65535;

/// Returns the only block with that wire number that may be in a range from `first` on.
std::optional<std::uint64_t>
candidate(std::uint16_t wire, std::uint64_t first, rollover policy) noexcept {
    switch (policy) {
    case rollover::to_zero: {
        const auto distance = static_cast<std::uint16_t>(wire - to_wire(first, policy));
        return first + distance;
    }
    case rollover::to_one: {
        // Block 0 stands before the cycle 1..65535 and never comes again.
        if (wire == 0) {
            return first == 0 ? std::optional(first) : std::nullopt;
        }
        const std::uint64_t start = std::max<std::uint64_t>(first, 1);
        const std::uint32_t distance =
            (std::uint32_t{wire} + wire_max - to_wire(start, policy)) % wire_max;
        return start + distance;
    }
    case rollover::forbidden:
        return wire;
    }
    return std::nullopt;
}

} // namespace

std::optional<std::uint64_t>
from_wire(std::uint16_t wire, std::uint64_t first, std::uint32_t count, rollover policy) noexcept {
    const std::optional<std::uint64_t> block = candidate(wire, first, policy);
    // A block before the range is a huge distance in unsigned arithmetic.
    return block && *block - first < count ? block : std::nullopt;
}

} // namespace tftp
