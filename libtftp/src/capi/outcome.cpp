#include "capi/outcome.hpp"

#include <tftp/client/exit_code.hpp>

#include <boost/system/generic_category.hpp>
#include <boost/system/system_category.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

namespace tftp::capi {

namespace {

/// True where `code` has the number of `status`.
[[nodiscard]] constexpr bool is(exit_code code, tftp_status status) noexcept {
    return static_cast<int>(code) == static_cast<int>(status);
}

static_assert(is(exit_code::ok, TFTP_OK) && is(exit_code::other, TFTP_OTHER));
static_assert(is(exit_code::usage, TFTP_INVALID) && is(exit_code::timed_out, TFTP_TIMED_OUT));
static_assert(is(exit_code::local_file, TFTP_LOCAL_FILE) && is(exit_code::network, TFTP_NETWORK));
static_assert(is(exit_code::not_found, TFTP_NOT_FOUND) && is(exit_code::access, TFTP_ACCESS));
static_assert(is(exit_code::disk_full, TFTP_DISK_FULL) && is(exit_code::exists, TFTP_EXISTS));
static_assert(is(exit_code::option_refused, TFTP_OPTION_REFUSED));

static_assert(static_cast<int>(failing_side::none) == TFTP_SIDE_NONE);
static_assert(static_cast<int>(failing_side::content) == TFTP_SIDE_CONTENT);
static_assert(static_cast<int>(failing_side::network) == TFTP_SIDE_NETWORK);
static_assert(static_cast<int>(failing_side::peer) == TFTP_SIDE_SERVER);
static_assert(static_cast<int>(failing_side::own) == TFTP_SIDE_OWN);

[[nodiscard]] tftp_status status_of(const transfer_summary& ended) noexcept {
    if (ended.outcome == errc::stopped) {
        return TFTP_STOPPED;
    }
    if (ended.outcome == errc::too_large) {
        return TFTP_TOO_LARGE;
    }
    if (ended.outcome == boost::system::errc::not_enough_memory) {
        return TFTP_NO_MEMORY;
    }
    const bool of_content = ended.failed == failing_side::content;
    return static_cast<tftp_status>(exit_code_for(ended.outcome, of_content));
}

[[nodiscard]] bool is_errno(const error_code& outcome) noexcept {
    return outcome.category() == boost::system::system_category() ||
           outcome.category() == boost::system::generic_category();
}

/// Copies as much of `text` as fits before the NUL, up to a NUL of its own.
template <std::size_t Size>
void copy_text(std::string_view text, char (&into)[Size]) noexcept {
    const std::string_view fits = text.substr(0, std::min(Size - 1, text.find('\0')));
    *std::ranges::copy(fits, into).out = '\0';
}

} // namespace

tftp_status tell(const transfer_summary& ended, const char* reason, tftp_result* into) noexcept {
    const tftp_status status = status_of(ended);
    if (into == nullptr) {
        return status;
    }
    *into = {};
    into->status = status;
    into->side = static_cast<tftp_side>(ended.failed);
    into->server_code = ended.outcome.category() == peer_category() ? ended.outcome.value() : -1;
    into->system_error = is_errno(ended.outcome) ? ended.outcome.value() : 0;
    into->bytes = ended.counters.bytes;
    into->seconds = std::chrono::duration<double>(ended.elapsed).count();
    into->blksize = ended.agreed.blksize;
    into->windowsize = ended.agreed.windowsize;
    if (status != TFTP_OK) {
        copy_text(reason, into->message);
        copy_text(ended.peer_text, into->server_text);
    }
    return status;
}

tftp_status tell(tftp_status status, const char* reason, tftp_result* into) noexcept {
    if (into != nullptr) {
        *into = {};
        into->status = status;
        into->side = TFTP_SIDE_OWN;
        into->server_code = -1;
        copy_text(reason, into->message);
    }
    return status;
}

} // namespace tftp::capi
