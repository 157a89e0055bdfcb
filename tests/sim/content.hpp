#pragma once

#include <tftp/base/bytes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace tftp::sim {

/// The content of every simulated file: a function of the offset, so that nothing is stored.
class content {
public:
    static constexpr std::size_t at_most = 2048;

    /// Returns the bytes at [offset, offset + size); size: 0..at_most.
    [[nodiscard]] static bytes_view at(std::uint64_t offset, std::size_t size) noexcept {
        return bytes_view(table()).subspan(offset % period, size);
    }

private:
    /// A prime, so that a slip by blocks or by 65536 blocks meets other bytes.
    static constexpr std::size_t period = 65521;

    [[nodiscard]] static const std::array<std::byte, period + at_most>& table() noexcept;
};

} // namespace tftp::sim
