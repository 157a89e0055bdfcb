#include <tftp/transfer/summary.hpp>

namespace tftp {

failing_side side_of(const error_code& outcome, bool of_content) noexcept {
    if (!outcome) {
        return failing_side::none;
    }
    if (outcome.category() == peer_category()) {
        return failing_side::peer;
    }
    if (outcome == errc::too_large) {
        return failing_side::own;
    }
    if (of_content) {
        return failing_side::content;
    }
    if (outcome.category() != tftp_category()) {
        return outcome == boost::system::errc::not_enough_memory ? failing_side::own
                                                                 : failing_side::network;
    }
    switch (static_cast<errc>(outcome.value())) {
    case errc::source_shrank:
    case errc::source_changed:
    case errc::stalled:
    case errc::not_rewindable:
        return failing_side::content;
    case errc::timed_out:
    case errc::unknown_host:
    case errc::lookup_failed:
        return failing_side::network;
    case errc::malformed:
    case errc::unknown_opcode:
    case errc::bad_option_answer:
    case errc::truncated:
    case errc::excess:
    case errc::oversize:
    case errc::not_a_client:
        return failing_side::peer;
    default:
        return failing_side::own;
    }
}

} // namespace tftp
