#pragma once

#include <tftp/base/time.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace tftp::detail {

/// Finds how many blocks may leave back to back inside the negotiated window, and how long the path
/// needs for them.
///
/// A receiver or a link with a small queue loses the tail of every burst at about the same place;
/// loss on the wire strikes anywhere and spares most windows. So bursts are bounded when several
/// windows in a row have a gap, by the *furthest* of these gaps. The pause between bursts is the
/// time one was seen to need: a fast receiver on a lossy wire shows none, so it is not slowed down.
///
/// When a gap took its time, something on the path serves one block after the other and its queue
/// was full: a slow link, which others may share. From then on the blocks leave one by one, at a
/// pace that follows what waits in the queue: slower when it fills, faster when it is empty.
/// RFC 7440 s.6 asks for such care. See docs/reference/protocol.md "Pacing".
class pacer {
public:
    /// round_trip: of a single datagram, if it is known already.
    explicit pacer(
        std::uint16_t windowsize, std::optional<duration> round_trip = std::nullopt
    ) noexcept
        : shortest_(round_trip), window_(windowsize), burst_(windowsize), proven_(windowsize) {}

    /// A gap was reported after `taken` blocks of the window had arrived in order.
    ///
    /// elapsed: since the first block of the window left; empty when it was sent again meanwhile.
    /// spread: from there until the block behind the gap left, which showed it.
    void on_gap(
        std::uint64_t taken, std::optional<duration> elapsed = std::nullopt, duration spread = {}
    ) noexcept;
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

    /// Returns the pause behind a gap that was just reported.
    [[nodiscard]] duration pause_after_gap() const noexcept;

    /// Returns how long what was in the link's queue needed to leave it, at the last gap or window.
    [[nodiscard]] duration queued() const noexcept { return queued_; }

    /// Returns true when gaps come from a link that is slow: they are no loss on the wire.
    [[nodiscard]] bool link_is_slow() const noexcept { return each_ != duration::zero(); }

    /// Returns how long the path needs for so many blocks; zero when that is not known.
    [[nodiscard]] duration time_for(unsigned blocks) const noexcept {
        return (link_is_slow() ? each_ : per_block().value_or(duration::zero())) * blocks;
    }

private:
    static constexpr std::uint8_t grow_after_max = 64;

    void restrain(std::uint16_t burst) noexcept;
    void set_pace(duration each) noexcept;
    void speed_up(int part) noexcept;
    void see_speed(duration elapsed, std::uint64_t blocks) noexcept;
    void leave_link_if_fast() noexcept;
    void
    on_link_gap(std::uint64_t taken, std::optional<duration> elapsed, duration spread) noexcept;
    void on_link_window(
        duration busy, std::uint64_t burst_blocks, duration spread, std::uint64_t blocks
    ) noexcept;
    void estimate(duration per_block) noexcept;
    /// Returns what the path needs for one block: the least of the newest estimates, each of which
    /// may be too long and none too short.
    [[nodiscard]] std::optional<duration> per_block() const noexcept;

    /// Returns true when the pace is far from what the link gave once: a window then lasts so long
    /// that small steps do not help.
    [[nodiscard]] bool far_behind() const noexcept { return each_ > fastest_ * 2; }

    /// A whole window takes so long that something on the path must have a queue for it.
    [[nodiscard]] bool takes_its_time() const noexcept;

    /// The shortest round trip seen: what one datagram needs.
    std::optional<duration> shortest_;
    std::array<duration, 4> estimates_{};
    std::uint16_t window_;
    std::uint16_t burst_;
    /// The largest burst that passed for many windows.
    std::uint16_t proven_;
    std::array<std::uint16_t, 4> recent_{};
    std::uint8_t estimate_count_ = 0;
    std::uint8_t recent_count_ = 0;
    /// Clean windows since the burst changed, and how many it takes to try a larger one.
    std::uint8_t clean_ = 0;
    std::uint8_t grow_after_ = 8;
    /// On a slow link, the time from one block to the next; zero elsewhere.
    duration each_{};
    /// The least time in which a block was seen to come, the round trip included. The link is no
    /// slower than this while nobody else uses it.
    duration fastest_ = std::chrono::hours(1);
    /// How long what is in the queue takes to leave it.
    duration queued_{};
    /// Blocks that came through since the pace changed.
    std::uint32_t calm_ = 0;
    /// Times in a row that it grew, and gaps in a row.
    std::uint8_t growths_ = 0;
    std::uint8_t gaps_ = 0;
    /// Gaps in a row of which nothing is known.
    std::uint8_t unknown_ = 0;
    /// Gaps while bursts are one block and nothing is known.
    std::uint8_t blind_ = 0;
    /// The only estimate is the first one, of which little is sure.
    bool guessed_ = false;
};

} // namespace tftp::detail
