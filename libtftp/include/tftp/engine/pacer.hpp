#pragma once

#include <tftp/wire/time.hpp>

#include <array>
#include <cstdint>

namespace tftp::detail {

/// Finds how many blocks a receiver takes back to back, inside the negotiated window.
///
/// A receiver with a small queue loses the tail of every burst at about the same place; loss on the
/// wire strikes anywhere. So the burst is bounded by the *furthest* of the last few places where a
/// gap was reported, which wire loss hardly lowers, and grows again with every clean window.
/// RFC 7440 s.6 asks for such care. See docs/protocol.md "Pacing".
class pacer {
public:
    explicit pacer(std::uint16_t windowsize) noexcept : window_(windowsize), burst_(windowsize) {}

    /// A gap was reported after `taken` blocks of the window had arrived in order.
    void on_gap(std::uint64_t taken) noexcept;
    /// A whole window was acknowledged without a gap.
    void on_clean_window() noexcept;

    /// Returns how many blocks may leave back to back: 1..windowsize.
    [[nodiscard]] std::uint16_t burst() const noexcept { return burst_; }

    /// Returns the pause between two bursts of one window.
    [[nodiscard]] duration gap(duration round_trip) const noexcept;

private:
    static constexpr std::uint16_t burst_min = 4;

    std::uint16_t window_;
    std::uint16_t burst_;
    std::array<std::uint16_t, 4> recent_{};
    std::uint8_t recent_count_ = 0;
};

} // namespace tftp::detail
