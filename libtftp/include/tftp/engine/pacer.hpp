#pragma once

#include <tftp/wire/time.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace tftp::detail {

/// Finds how many blocks a receiver takes back to back, inside the negotiated window, and how long
/// it needs for them.
///
/// A receiver with a small queue loses the tail of every burst at about the same place; loss on the
/// wire strikes anywhere and spares most windows. So bursts are bounded only when several windows
/// in a row have a gap, and then by the *furthest* of these gaps. The pause between bursts is the
/// time the receiver was seen to need for one: a fast receiver on a lossy wire shows none, so it is
/// not slowed down. RFC 7440 s.6 asks for such care. See docs/protocol.md "Pacing".
class pacer {
public:
    /// round_trip: of a single datagram, if it is known already.
    explicit pacer(
        std::uint16_t windowsize, std::optional<duration> round_trip = std::nullopt
    ) noexcept
        : shortest_(round_trip), window_(windowsize), burst_(windowsize), proven_(windowsize) {}

    /// A gap was reported after `taken` blocks of the window had arrived in order.
    void on_gap(std::uint64_t taken) noexcept;
    /// A whole window was acknowledged without a gap.
    void on_clean_window() noexcept;
    /// A window of `blocks` was acknowledged `round_trip` after its last burst of `burst_blocks`
    /// left, which was `spread` after its first block.
    void on_burst(
        duration round_trip, std::uint64_t burst_blocks, duration spread, std::uint64_t blocks
    ) noexcept;

    /// Returns how many blocks may leave back to back: 1..windowsize.
    [[nodiscard]] std::uint16_t burst() const noexcept { return burst_; }

    /// Returns the pause between two bursts of one window; zero when none is needed.
    [[nodiscard]] duration pause() const noexcept;

private:
    static constexpr std::uint16_t burst_min = 4;
    static constexpr std::uint8_t grow_after_max = 64;

    void restrain(std::uint16_t burst) noexcept;

    /// The shortest round trip seen: what one datagram needs.
    std::optional<duration> shortest_;
    /// What the receiver needs for one block, from the newest window.
    std::optional<duration> per_block_;
    std::uint16_t window_;
    std::uint16_t burst_;
    /// The largest burst that passed for many windows.
    std::uint16_t proven_;
    std::array<std::uint16_t, 4> recent_{};
    std::uint8_t recent_count_ = 0;
    /// Clean windows since the burst changed, and how many it takes to try a larger one.
    std::uint8_t clean_ = 0;
    std::uint8_t grow_after_ = 8;
};

} // namespace tftp::detail
