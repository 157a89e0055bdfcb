#include "wire/option_name.hpp"
#include "wire/text.hpp"

#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

namespace {

/// RFC 2349: seconds.
constexpr std::uint64_t timeout_min = 1;
constexpr std::uint64_t timeout_max = 255;

/// RFC 7440: blocks.
constexpr std::uint64_t windowsize_min = 1;

std::optional<option> option_named(std::string_view name) noexcept {
    for (const option each :
         {option::blksize, option::timeout, option::tsize, option::windowsize}) {
        if (detail::equal_ignoring_case(name, detail::name_of(each))) {
            return each;
        }
    }
    return std::nullopt;
}

/// Returns the value to answer with, or nothing when the option is left out of the OACK.
std::optional<std::uint64_t> answered_value(
    option which,
    std::uint64_t asked,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> file_size
) noexcept {
    switch (which) {
    case option::blksize:
        if (asked < blksize_min) {
            return std::nullopt;
        }
        // A limit outside its range must not make the answer illegal.
        return std::min<std::uint64_t>(asked, std::clamp(limits.blksize, blksize_min, blksize_max));
    case option::windowsize:
        if (asked < windowsize_min) {
            return std::nullopt;
        }
        return std::clamp<std::uint64_t>(
            asked,
            windowsize_min,
            std::clamp<std::uint64_t>(limits.windowsize, windowsize_min, windowsize_max)
        );
    case option::timeout:
        // RFC 2349: the answer equals the request, so nothing can be lowered here.
        if (!limits.allow_timeout || asked < timeout_min || asked > timeout_max) {
            return std::nullopt;
        }
        return asked;
    case option::tsize:
        if (request.mode != transfer_mode::octet) {
            return std::nullopt;
        }
        if (request.op == opcode::wrq) {
            // A size that does not fit cannot be echoed as it was sent.
            return asked == detail::decimal_saturated ? std::nullopt : std::optional(asked);
        }
        return file_size == std::uint64_t{0} ? std::nullopt : file_size;
    }
    return std::nullopt;
}

void apply(option which, std::uint64_t value, parameters& agreed) noexcept {
    switch (which) {
    case option::blksize:
        agreed.blksize = static_cast<std::uint16_t>(value);
        break;
    case option::windowsize:
        agreed.windowsize = static_cast<std::uint16_t>(value);
        break;
    case option::timeout:
        agreed.timeout = std::chrono::seconds(value);
        break;
    case option::tsize:
        agreed.tsize = value;
        break;
    }
}

/// Returns true when a client that sent `sent` may accept `value` for the option.
bool acceptable(option which, std::uint64_t value, const offer& sent) noexcept {
    switch (which) {
    case option::blksize:
        return sent.blksize && value >= blksize_min && value <= blksize_max &&
               value <= *sent.blksize;
    case option::windowsize:
        return sent.windowsize && value >= windowsize_min && value <= *sent.windowsize;
    case option::timeout:
        return sent.timeout && value >= timeout_min && value <= timeout_max &&
               std::chrono::seconds(value) == *sent.timeout;
    case option::tsize:
        // 0 asks for the size; any other value announces one, and the answer echoes it.
        return sent.tsize && (*sent.tsize == 0 || value == *sent.tsize);
    }
    return false;
}

/// Returns true for an answer to tsize that is no size. Servers that count in 32 bits with a sign
/// write a negative number; nothing in the transfer depends on the size.
bool is_no_size(option which, const std::optional<std::uint64_t>& value) noexcept {
    return which == option::tsize && (!value || *value == detail::decimal_saturated);
}

} // namespace

answer answer_request(
    const request_view& request, const option_limits& limits, std::optional<std::uint64_t> file_size
) noexcept {
    answer result;
    std::array<bool, 4> seen{};
    for (const option_list::entry& each : request.options) {
        const std::optional<option> which = option_named(each.name);
        if (!which || std::exchange(seen[static_cast<std::size_t>(*which)], true)) {
            continue;
        }
        const std::optional<std::uint64_t> asked = detail::parse_decimal(each.value);
        if (!asked) {
            continue;
        }
        const std::optional<std::uint64_t> value =
            answered_value(*which, *asked, request, limits, file_size);
        if (!value) {
            continue;
        }
        apply(*which, *value, result.agreed);
        result.options[result.accepted_count] = {*which, each.name, *value};
        ++result.accepted_count;
    }
    return result;
}

result<parameters> accept_oack(const oack_view& oack, const offer& sent) noexcept {
    parameters agreed;
    bool size_is_known = true;
    std::array<std::optional<std::uint64_t>, 4> seen{};
    for (const option_list::entry& each : oack.options) {
        const std::optional<option> which = option_named(each.name);
        const std::optional<std::uint64_t> value = detail::parse_decimal(each.value);
        if (which && sent.tsize && is_no_size(*which, value)) {
            size_is_known = false;
            continue;
        }
        if (!which || !value || !acceptable(*which, *value, sent)) {
            return errc::bad_option_answer;
        }
        // tftp-hpa repeats an option that it was asked twice; only a contradiction is an error.
        std::optional<std::uint64_t>& before = seen[static_cast<std::size_t>(*which)];
        if (before && *before != *value) {
            if (*which != option::tsize) {
                return errc::bad_option_answer;
            }
            size_is_known = false;
        }
        before = value;
        apply(*which, *value, agreed);
    }
    if (!size_is_known) {
        agreed.tsize.reset();
    }
    return agreed;
}

} // namespace tftp
