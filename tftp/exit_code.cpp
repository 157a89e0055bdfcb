#include "exit_code.hpp"

namespace tftp::cli {

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

[[nodiscard]] exit_code from_client(errc code) noexcept {
    switch (code) {
    case errc::timed_out:
    case errc::out_of_time:
        return exit_code::timed_out;
    case errc::bad_option_answer:
        return exit_code::option_refused;
    case errc::bad_name:
    case errc::too_long:
        return exit_code::usage;
    default:
        return exit_code::other;
    }
}

} // namespace

origin origin_of(const error_code& failure, bool local_file) noexcept {
    if (local_file || failure == errc::source_shrank || failure == errc::source_changed) {
        return origin::local;
    }
    if (failure.category() == peer_category()) {
        return origin::server;
    }
    if (failure.category() == tftp_category() ||
        failure == boost::system::errc::not_enough_memory) {
        return origin::client;
    }
    return origin::network;
}

exit_code exit_code_for(const error_code& outcome, origin from) noexcept {
    if (!outcome) {
        return exit_code::ok;
    }
    switch (from) {
    case origin::server:
        return from_server(static_cast<peer_errc>(outcome.value()));
    case origin::local:
        return exit_code::local_file;
    case origin::network:
        return exit_code::network;
    case origin::client:
        break;
    }
    return outcome.category() == tftp_category() ? from_client(static_cast<errc>(outcome.value()))
                                                 : exit_code::other;
}

const char* word_for(exit_code code) noexcept {
    switch (code) {
    case exit_code::ok:
        return "ok";
    case exit_code::usage:
        return "usage";
    case exit_code::timed_out:
        return "timed_out";
    case exit_code::local_file:
        return "local_file";
    case exit_code::network:
        return "network";
    case exit_code::not_found:
        return "not_found";
    case exit_code::access:
        return "access";
    case exit_code::disk_full:
        return "disk_full";
    case exit_code::exists:
        return "exists";
    case exit_code::option_refused:
        return "option_refused";
    case exit_code::other:
        break;
    }
    return "other";
}

const char* word_for(origin from) noexcept {
    switch (from) {
    case origin::server:
        return "server";
    case origin::local:
        return "local";
    case origin::network:
        return "network";
    case origin::client:
        break;
    }
    return "client";
}

} // namespace tftp::cli
