#include "exit_code.hpp"

namespace tftp::cli {

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
