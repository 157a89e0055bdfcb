#pragma once

#include <tftp/base/time.hpp>

#include <cstdint>
#include <optional>

namespace tftp {

/// Bounds of the retransmission timer.
struct rto_limits {
    /// Interval before the first answer is measured.
    duration initial = std::chrono::seconds(1);
    /// Least margin above the smoothed round trip on a path that loses packets: absorbs jitter and
    /// the peer's scheduling. A quarter of the round trip is kept as well.
    duration variance_min = std::chrono::milliseconds(20);
    /// RFC 1123 4.2.3.2 asks for a bound of the back-off; 5 s is what U-Boot's own timer uses. An
    /// interval that was measured to be longer is not cut.
    duration max = std::chrono::seconds(5);
};

/// Estimates the retransmission timeout: RFC 6298 smoothing, with a margin that starts at
/// `rto_limits::initial` and is earned down by clean samples, and a memory of the longest answer.
///
/// The caller keeps Karn's rule: it samples only what was sent once. What was sent twice goes to
/// `on_repeated_answer`, and `on_copy_answered` tells that the repeat was needless (the idea of
/// Eifel, RFC 3522). Differs from RFC 6298 in two places (docs/internals/adr): no minimum of 1 s,
/// and a new ACK ends the back-off.
class rto_estimator {
public:
    explicit rto_estimator(const rto_limits& limits) noexcept : limits_(limits) {}

    /// Takes the round trip of the opening. It says little about DATA, which takes longer on the
    /// wire and has to be stored: it counts for `smoothed` and `least` until the first sample, and
    /// not even for these when it took nearly as long as `rto_limits::initial` or longer: then it
    /// was most likely a timer of the other side.
    void sample_opening(duration round_trip) noexcept;

    /// Takes one measured round trip of `blocks` that were answered together.
    void sample(duration round_trip, std::uint64_t blocks = 1) noexcept;

    /// Tells how many blocks are under way: before the first sample they are waited for.
    ///
    /// blocks: >= 1.
    void expect_window(std::uint16_t blocks) noexcept;

    /// Lengthens the interval, up to the bound: call once a timeout. By two; by four while it is
    /// below half of `rto_limits::initial` and fewer than two losses were seen.
    void back_off() noexcept;

    /// Ends the back-off: call on every new ACK.
    void progress() noexcept { shift_ = 0; }

    /// Tells that something sent more than once was answered `age` after its first copy left, and
    /// `age_of_last` after its last. When the answer came too soon or too late to be one to the
    /// last copy, the peer took `age`; else the interval is not below `age` until the next sample.
    void on_repeated_answer(duration age, duration age_of_last) noexcept;

    /// Tells that an answer to a copy came behind progress: the first copy had arrived, so its age
    /// was a round trip.
    void on_copy_answered() noexcept;

    /// Takes an answer that no repeat can have caused, for what a slow peer takes.
    void remember(duration answer) noexcept;

    /// Tells that something was seen to be lost, without a timeout.
    void on_loss() noexcept;

    /// Tells that something sent once was answered within `elapsed`. A mean that is far above it
    /// was learned from somebody's timer.
    void on_answer_within(duration elapsed) noexcept;

    /// Tells that a gap was reported behind the first `taken` blocks of a window, `elapsed` after
    /// they left: a loss, and before the first sample a hint at the time that a window takes.
    void on_gap(duration elapsed, std::uint64_t taken) noexcept;

    /// Returns the interval to wait before sending again, not below `least` before the back-off.
    [[nodiscard]] duration interval(duration least = {}) const noexcept;

    /// Returns the interval before anything is known, of somebody who sent so many blocks.
    [[nodiscard]] duration first_interval(std::uint64_t blocks) const noexcept;

    /// Returns the interval without the care that a slow peer is due: when it has passed, an answer
    /// from a prompt one has been lost. `rto_limits::initial` before anything is measured.
    [[nodiscard]] duration prompt_interval() const noexcept;

    /// Returns the time after which no answer to something sent now is to be expected, be it one to
    /// a copy. Like `prompt_interval`, and before the first sample like `interval`.
    [[nodiscard]] duration overdue() const noexcept;

    /// Returns the time before which no answer to something sent now is to be expected: what comes
    /// earlier answers something older. At least three quarters of the smoothed round trip, and
    /// `rto_limits::variance_min` before the first sample.
    [[nodiscard]] duration least() const noexcept;

    /// Returns the smoothed round trip; empty before the first sample.
    [[nodiscard]] std::optional<duration> smoothed() const noexcept;

    /// Returns the shortest sample, of blocks and not of the opening; empty before the first.
    [[nodiscard]] std::optional<duration> shortest() const noexcept;

    /// Returns true while nothing is known to be lost.
    [[nodiscard]] bool lossless() const noexcept { return losses_ == 0; }

    /// Returns the longest answer of this transfer that is known for sure; zero without one.
    [[nodiscard]] duration longest() const noexcept { return longest_; }

private:
    [[nodiscard]] duration base_interval() const noexcept;
    [[nodiscard]] duration margin() const noexcept;
    [[nodiscard]] bool lossy() const noexcept;

    rto_limits limits_;
    duration smoothed_{};
    duration variance_{};
    duration shortest_{};
    duration longest_{};
    /// Age of the first copy at the newest answer to something repeated; zero when there is none,
    /// or a sample came since.
    duration repeated_{};
    /// Time that a window may take, before the first sample; zero without a guess.
    duration guess_{};
    std::uint16_t window_ = 1;
    /// Blocks in clean samples, and losses, as far as they matter.
    std::uint16_t samples_ = 0;
    std::uint16_t since_loss_ = 0;
    std::uint8_t losses_ = 0;
    /// Answers in a row that took far longer than usual, and those to something repeated.
    std::uint8_t long_answers_ = 0;
    std::uint8_t repeats_ = 0;
    std::uint8_t shift_ = 0;
    bool measured_ = false;
};

} // namespace tftp
