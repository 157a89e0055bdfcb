#include "capi/request.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>

namespace tftp::capi {

namespace {

/// Returns why the values cannot be used, or null.
[[nodiscard]] const char* problem_of(const tftp_options& o) noexcept {
    if (o.blksize != 0 && (o.blksize < blksize_min || o.blksize > blksize_max)) {
        return "options: blksize is not in 8..65464";
    }
    if (o.windowsize > windowsize_max) {
        return "options: windowsize is not in 1..32767";
    }
    if (o.no_options != 0 && (o.blksize != 0 || o.windowsize != 0)) {
        return "options: no_options excludes blksize and windowsize";
    }
    if (o.request_sends > std::numeric_limits<std::uint8_t>::max()) {
        return "options: request_sends is not in 1..255";
    }
    return nullptr;
}

} // namespace

bool progress_caller::operator()(const progress& so_far) const {
    return options_.progress(
               options_.progress_user, so_far.bytes, so_far.total.value_or(TFTP_SIZE_UNKNOWN)
           ) == 0;
}

tftp_options read_options(const tftp_options* options, const char*& problem) noexcept {
    tftp_options known{};
    problem = nullptr;
    if (options == nullptr) {
        return known;
    }
    if (options->size < sizeof options->size) {
        problem = "options: size is not sizeof(struct tftp_options)";
        return known;
    }
    std::memcpy(&known, options, std::min(options->size, sizeof known));
    // What a later version has added must not be ignored unless it changes nothing.
    const auto* const bytes = reinterpret_cast<const unsigned char*>(options);
    for (std::size_t n = sizeof known; n < options->size; ++n) {
        if (bytes[n] != 0) {
            problem = "options: a member is set that this version of the library does not know";
            return known;
        }
    }
    problem = problem_of(known);
    return known;
}

client_request make_request(const tftp_options& options, progress_caller& caller) noexcept {
    using std::chrono::milliseconds;
    client_request request;
    if (options.timeout_ms != 0) {
        request.timeout = milliseconds(options.timeout_ms);
    }
    if (options.no_options != 0) {
        request.options = no_options;
    }
    if (options.blksize != 0) {
        request.blksize = static_cast<std::uint16_t>(options.blksize);
    }
    if (options.windowsize != 0) {
        request.windowsize = static_cast<std::uint16_t>(options.windowsize);
    }
    if (options.request_sends != 0) {
        request.engine.opening_sends = static_cast<std::uint8_t>(options.request_sends);
    }
    if (options.request_interval_ms != 0) {
        rto_limits& rto = request.engine.rto;
        rto.initial = milliseconds(options.request_interval_ms);
        rto.max = std::max(rto.max, rto.initial);
    }
    if (options.silence_ms != 0) {
        request.engine.give_up = milliseconds(options.silence_ms);
    }
    request.size_max_bytes = options.size_max;
    if (options.local_address != nullptr) {
        request.local = options.local_address;
    }
    if (options.device != nullptr) {
        request.device = options.device;
    }
    if (options.progress != nullptr) {
        request.on_progress = caller;
    }
    return request;
}

} // namespace tftp::capi
