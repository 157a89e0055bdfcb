#pragma once

#include <tftp/wire/time.hpp>

#include <optional>

namespace tftp {

/// Bounds of the retransmission timer.
struct rto_limits {
    /// Interval before the first round trip is measured.
    duration initial = std::chrono::seconds(1);
    /// Least distance kept above the smoothed round trip: absorbs jitter and the peer's scheduling.
    /// A quarter of the round trip is kept as well.
    duration variance_min = std::chrono::milliseconds(20);
    /// RFC 1123 4.2.3.2 asks for a bound; 5 s is what U-Boot's own timer uses.
    duration max = std::chrono::seconds(5);
};

/// Estimates the retransmission timeout: RFC 6298 smoothing, RFC 1123 4.2.3.2 back-off.
///
/// The caller keeps Karn's rule: never sample a block that was sent twice. Differs from RFC 6298 in
/// two places (docs/adr): no 1 s minimum, and a new ACK ends the back-off.
class rto_estimator {
public:
    explicit rto_estimator(const rto_limits& limits) noexcept : limits_(limits) {}

    /// Takes one measured round trip.
    void sample(duration round_trip) noexcept;

    /// Doubles the interval, up to the bound: call once a timeout.
    void back_off() noexcept;

    /// Ends the back-off: call on every new ACK.
    void progress() noexcept { shift_ = 0; }

    /// Returns the interval to wait before sending again.
    [[nodiscard]] duration interval() const noexcept;

    /// Returns the time before which no answer to something sent now is to be expected: what comes
    /// earlier answers something older. At least three quarters of the smoothed round trip, and
    /// `rto_limits::variance_min` before the first sample.
    [[nodiscard]] duration least() const noexcept;

    /// Returns the smoothed round trip; empty before the first sample.
    [[nodiscard]] std::optional<duration> smoothed() const noexcept;

private:
    rto_limits limits_;
    duration smoothed_{};
    duration variance_{};
    bool measured_ = false;
    unsigned shift_ = 0;
};

} // namespace tftp
