#include "report.hpp"

#include "escape.hpp"
#include "progress.hpp"

#include <tftp/socket/socket_address.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace tftp::cli {

namespace {

/// Enough for one line; peers may send half a kilobyte.
constexpr std::size_t peer_text_max = 200;

[[nodiscard]] bool reads(const report& r) noexcept {
    return r.asked.verb == transfer_direction::read;
}

/// The name that stands for the transfer.
[[nodiscard]] const std::string& subject(const report& r) noexcept {
    return r.asked.remote;
}

[[nodiscard]] bool answered(const report& r) noexcept {
    // A server with one port for everything answers from where it was asked.
    return r.summary.answered || r.summary.counters.blocks != 0 ||
           r.summary.peer.port != r.server.port;
}

[[nodiscard]] std::string server_says(const report& r) {
    switch (static_cast<peer_errc>(r.summary.outcome.value())) {
    case peer_errc::not_found:
        return reads(r) ? "not found on the server: names are relative to its directory, and case "
                          "counts"
                        : "the server finds no place of this name: it may take only files that "
                          "exist already, and makes no directories";
    case peer_errc::access_violation:
        return reads(r) ? "the server denies access: the file may be readable only for its owner, "
                          "or outside of what is served"
                        : "the server denies access: it may take no uploads, or only files that "
                          "exist already";
    case peer_errc::disk_full:
        return reads(r) ? "the server reports a full disk"
                        : "the server has no room for the file, or limits its size";
    case peer_errc::file_exists:
        return "exists on the server, which does not replace it: choose another name";
    case peer_errc::option_refused:
        return "the server refuses the options: try --no-options";
    case peer_errc::illegal_operation:
        return "the server does not understand the request, or does not allow it";
    case peer_errc::unknown_transfer_id:
        return "the server does not know this transfer any more: try again";
    case peer_errc::no_such_user:
    case peer_errc::undefined:
        break;
    }
    return fmt::format("the server reports error {}", r.summary.outcome.value());
}

[[nodiscard]] std::string server_failure(const report& r) {
    if (r.summary.peer_text.empty()) {
        return server_says(r);
    }
    const std::string_view whole(r.summary.peer_text);
    const std::string text = escape_for_terminal(whole.substr(0, peer_text_max));
    // Code 0 is "see the text". RFC 1350, appendix.
    return r.summary.outcome == peer_errc::undefined
               ? fmt::format("the server reports: {}", text)
               : fmt::format("{} (it says: {})", server_says(r), text);
}

[[nodiscard]] std::string silence(const report& r) {
    const std::string waited = format_seconds(r.summary.elapsed);
    if (!answered(r)) {
        std::string line = fmt::format(
            "no answer from {} in {}: is a TFTP server running there, and does no firewall stop "
            "UDP, from any of its ports?",
            to_string(r.server),
            waited
        );
        if (r.addresses > 1) {
            line += fmt::format(" The host has {} addresses: try -4 or -6", r.addresses);
        }
        return line;
    }
    if (!reads(r) && r.summary.counters.all_sent) {
        return "all of it was sent, but the server did not confirm the end: it may have the whole "
               "file";
    }
    if (r.summary.counters.bytes == 0) {
        return "the server answered, but no block went through: packets of this size may be lost "
               "on the way, try --blksize 512 --windowsize 1";
    }
    return fmt::format(
        "the server fell silent after {}: try again",
        format_bytes(static_cast<double>(r.summary.counters.bytes))
    );
}

/// Returns true when content appears as a file, when it is whole. What goes to a stream is there as
/// far as it came.
[[nodiscard]] bool publishes(const report& r) {
    std::error_code ignored;
    const auto there = std::filesystem::status(r.asked.local, ignored);
    return reads(r) && !r.asked.local.empty() &&
           (!std::filesystem::exists(there) || std::filesystem::is_regular_file(there));
}

[[nodiscard]] std::string out_of_time(const report& r) {
    if (!answered(r)) {
        return fmt::format(
            "no answer from {} in the time that --max-time allows", to_string(r.server)
        );
    }
    return fmt::format(
        "not done in the time that --max-time allows, {}: {} went through{}",
        format_seconds(r.summary.elapsed),
        format_bytes(static_cast<double>(r.summary.counters.bytes)),
        publishes(r) ? "; nothing was stored" : ""
    );
}

[[nodiscard]] std::string own_failure(const report& r) {
    const error_code& outcome = r.summary.outcome;
    if (outcome == errc::timed_out) {
        return silence(r);
    }
    if (outcome == errc::stopped) {
        return publishes(r) ? "interrupted: nothing was stored" : "interrupted";
    }
    if (outcome == errc::bad_option_answer) {
        return "the server answered with options or sizes that were not asked for: try "
               "--no-options";
    }
    if (outcome == errc::too_long) {
        return "the name is too long for a TFTP request, which has 512 bytes with its options";
    }
    if (outcome == errc::too_large && r.asked.max_size) {
        return fmt::format(
            "larger than the {} bytes that --max-size allows{}",
            *r.asked.max_size,
            publishes(r) ? ": nothing was stored" : ""
        );
    }
    if (outcome == errc::out_of_time) {
        return out_of_time(r);
    }
    if (outcome == errc::truncated) {
        return "the file ended before the size that the server had announced: try again";
    }
    if (outcome == errc::excess) {
        return "the server sends more than the size it had announced";
    }
    return outcome.message();
}

[[nodiscard]] std::string network_failure(const report& r) {
    const std::string address = to_string(r.server);
    switch (r.summary.outcome.value()) {
    case ECONNREFUSED:
        return answered(r)
                   ? "the server closed its port: it may have been stopped, try again"
                   : fmt::format("connection refused: no TFTP server listens at {}", address);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return fmt::format("{} cannot be reached: see 'ip route'", address);
    case EPERM:
    case EACCES:
        return fmt::format("sending to {} is not permitted: see the firewall", address);
    case EMSGSIZE:
        return "the blocks are larger than this network takes: try a smaller --blksize";
    default:
        return fmt::format("{}: {}", address, r.summary.outcome.message());
    }
}

[[nodiscard]] std::string local_failure(const report& r) {
    const error_code& outcome = r.summary.outcome;
    if (outcome.category() == tftp_category()) {
        return outcome == errc::not_regular ? "not a regular file: only those can be sent"
                                            : outcome.message();
    }
    switch (outcome.value()) {
    case EISDIR:
        return reads(r) ? "is a directory: name a file in it" : "is a directory";
    case ENOENT:
    case ENOTDIR:
        return reads(r) ? "the directory does not exist" : "no such file";
    case ENOSPC:
    case EDQUOT:
        return publishes(r) ? "no room for the file here: nothing was stored"
                            : "no room for the file here";
    case EACCES:
        return reads(r) ? "permission denied: the file or its directory may not be written, or the "
                          "name is a link of another user in a directory for all"
                        : "permission denied";
    case EPIPE:
        return "whoever reads standard output has gone";
    default:
        return outcome.message();
    }
}

/// Returns seconds to the microsecond.
[[nodiscard]] std::string json_seconds(duration d) {
    return fmt::format("{:.6f}", std::chrono::duration<double>(d).count());
}

void append_error(std::string& out, const report& r) {
    if (r.code == exit_code::ok) {
        out += ",\"error\":null}";
        return;
    }
    const std::string message = r.from == origin::server && !r.summary.peer_text.empty()
                                    ? r.summary.peer_text
                                : !r.unresolved.empty() ? r.unresolved
                                                        : r.summary.outcome.message();
    const error_code& outcome = r.summary.outcome;
    const bool no_errno = r.from == origin::local && outcome.category() == tftp_category();
    out += ",\"error\":{\"code\":";
    out += r.unresolved.empty() && !no_errno ? std::to_string(outcome.value()) : "null";
    fmt::format_to(
        std::back_inserter(out),
        ",\"source\":\"{}\",\"message\":{}}}}}",
        word_for(r.from),
        json_string(message)
    );
}

} // namespace

std::string error_line(const report& r) {
    const std::string host = escape_for_terminal(r.asked.host);
    if (!r.unresolved.empty()) {
        return fmt::format("{}: {}", host, r.unresolved);
    }
    const std::string file = escape_for_terminal(subject(r));
    switch (r.from) {
    case origin::server:
        return fmt::format("{}: {}: {}", host, file, server_failure(r));
    case origin::network:
        return fmt::format("{}: {}: {}", host, file, network_failure(r));
    case origin::client:
        return fmt::format("{}: {}: {}", host, file, own_failure(r));
    case origin::local:
        break;
    }
    const std::string local =
        r.asked.local.empty() ? "standard output" : escape_for_terminal(r.asked.local);
    return fmt::format("{}: {}", local, local_failure(r));
}

std::string summary_line(const report& r) {
    const transfer_summary& s = r.summary;
    std::string line = fmt::format(
        "{}: {} in {} ({}/s), blksize {}, windowsize {}, {} retransmitted",
        escape_for_terminal(subject(r)),
        format_bytes(static_cast<double>(s.counters.bytes)),
        format_seconds(s.elapsed),
        format_bytes(rate_of(s.counters.bytes, s.elapsed)),
        s.agreed.blksize,
        s.agreed.windowsize,
        s.counters.retransmissions
    );
    if (!r.offered.empty() && s.agreed == parameters{}) {
        line += ", the server took no options";
    }
    return line;
}

std::string refusal_line(const report& r) {
    const offer& sent = r.summary.asked;
    const parameters& agreed = r.summary.agreed;
    std::string line;
    const auto append = [&line](const std::string& part) {
        line += line.empty() ? part : "; " + part;
    };
    // After falling back nothing was asked for in the end, because the server had refused it.
    const auto compare = [&append](
                             const char* what,
                             std::uint16_t given,
                             std::optional<std::uint16_t> asked,
                             std::optional<std::uint16_t> in_request
                         ) {
        if (asked && given != in_request.value_or(*asked)) {
            append(fmt::format(
                "the server uses {} {} instead of {}", what, given, in_request.value_or(*asked)
            ));
        }
    };
    compare("blksize", agreed.blksize, r.asked.blksize, sent.blksize);
    compare("windowsize", agreed.windowsize, r.asked.windowsize, sent.windowsize);
    if (r.asked.windowsize && sent.windowsize && *sent.windowsize < *r.asked.windowsize) {
        append(fmt::format(
            "this system's receive buffer holds {} blocks of {} bytes (net.core.rmem_max)",
            *sent.windowsize,
            sent.blksize.value_or(blksize_default)
        ));
    }
    return line.empty() ? line : escape_for_terminal(r.asked.host) + ": " + line;
}

std::string json_object(const report& r) {
    const transfer_summary& s = r.summary;
    std::string out = fmt::format(
        "{{\"verb\":\"{}\",\"host\":{},\"address\":{},\"file\":{},\"local\":{}",
        reads(r) ? "get" : "put",
        json_string(r.asked.host),
        r.server.family == address_family::none ? "null" : json_string(to_string(r.server)),
        json_string(r.asked.remote),
        json_string(r.asked.local)
    );
    fmt::format_to(
        std::back_inserter(out),
        ",\"bytes\":{},\"seconds\":{},\"rate\":{:.0f},\"blksize\":{},\"windowsize\":{}"
        ",\"retransmissions\":{},\"timeouts\":{},\"mode\":\"{}\",\"result\":\"{}\"",
        s.counters.bytes,
        json_seconds(s.elapsed),
        rate_of(s.counters.bytes, s.elapsed),
        s.agreed.blksize,
        s.agreed.windowsize,
        s.counters.retransmissions,
        s.counters.timeouts,
        to_string(r.asked.mode),
        word_for(r.code)
    );
    append_error(out, r);
    return out;
}

} // namespace tftp::cli
