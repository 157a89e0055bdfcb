#include <tftp/client/exit_code.hpp>

namespace tftp {

namespace {

[[nodiscard]] exit_code from_server(peer_errc code) noexcept {
    switch (code) {
    case peer_errc::not_found:
        return exit_code::not_found;
    case peer_errc::access_violation:
        return exit_code::access;
    case peer_errc::disk_full:
        return exit_code::disk_full;
    case peer_errc::file_exists:
        return exit_code::exists;
    case peer_errc::option_refused:
        return exit_code::option_refused;
    default:
        return exit_code::other;
    }
}

[[nodiscard]] exit_code from_this_side(errc code) noexcept {
    switch (code) {
    case errc::timed_out:
    case errc::out_of_time:
        return exit_code::timed_out;
    case errc::source_shrank:
    case errc::source_changed:
        return exit_code::local_file;
    case errc::unknown_host:
    case errc::lookup_failed:
        return exit_code::network;
    case errc::bad_option_answer:
        return exit_code::option_refused;
    case errc::bad_local_address:
    case errc::bad_name:
    case errc::bad_uri:
    case errc::no_server:
    case errc::too_long:
        return exit_code::usage;
    default:
        return exit_code::other;
    }
}

} // namespace

exit_code exit_code_for(const error_code& outcome, bool of_content) noexcept {
    if (!outcome) {
        return exit_code::ok;
    }
    if (of_content) {
        return exit_code::local_file;
    }
    if (outcome.category() == peer_category()) {
        return from_server(static_cast<peer_errc>(outcome.value()));
    }
    if (outcome.category() == tftp_category()) {
        return from_this_side(static_cast<errc>(outcome.value()));
    }
    return outcome == boost::system::errc::not_enough_memory ? exit_code::other
                                                             : exit_code::network;
}

} // namespace tftp
