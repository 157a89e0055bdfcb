#include "log_gate.hpp"

#include <chrono>
#include <utility>

namespace tftpd {

namespace {

/// A shortage that was not met for so long is over.
constexpr auto shortage_rest = std::chrono::seconds(5);

} // namespace

log_gate::decision
log_gate::decide(const tftp::transfer_summary& ended, bool wanted, tftp::time_point now) noexcept {
    decision out;
    if (current_.met != 0 && now - last_met_ >= shortage_rest) {
        out.over = std::exchange(current_, {});
    }
    const bool refused =
        ended.outcome == tftp::errc::overloaded || tftp::is_shortage(ended.outcome);
    if (refused || ended.send_error) {
        if (current_.met == 0) {
            current_.why = refused ? ended.outcome : ended.send_error;
            out.begun = current_.why;
        }
        ++current_.met;
        last_met_ = now;
    }
    if (!wanted || (refused && !out.begun)) {
        return out;
    }
    if (lines_.available(now) == 0) {
        ++left_out_;
        return out;
    }
    lines_.take(1);
    out.line = true;
    out.left_out = std::exchange(left_out_, 0);
    return out;
}

} // namespace tftpd
