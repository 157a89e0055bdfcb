#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/transfer/summary.hpp>

#include <cstdint>
#include <optional>

namespace tftpd {

/// Decides which lines are worth writing: no more in a second than the limit, and of a shortage -
/// descriptors, memory, transfers, a firewall that lets nothing out - only its begin and its end.
/// Not thread-safe.
class log_gate {
public:
    /// A shortage that is over.
    struct shortage {
        /// What was short, by the first error.
        tftp::error_code why;
        /// Transfers and requests that met it.
        std::uint64_t met = 0;
    };

    /// What to write about one transfer or refused request, in this order.
    struct decision {
        std::optional<shortage> over;
        /// What is short from now on.
        std::optional<tftp::error_code> begun;
        /// Lines left out since the last one that was written; only with `line`.
        std::uint64_t left_out = 0;
        bool line = false;
    };

    /// lines_per_second: >= 1.
    log_gate(std::uint32_t lines_per_second, tftp::time_point now) noexcept
        : lines_(lines_per_second, now) {}

    /// Decides about a transfer that ended at `now`. wanted: it is of interest at all.
    [[nodiscard]] decision
    decide(const tftp::transfer_summary& ended, bool wanted, tftp::time_point now) noexcept;

private:
    tftp::token_bucket lines_;
    std::uint64_t left_out_ = 0;
    shortage current_;
    tftp::time_point last_met_;
};

} // namespace tftpd
