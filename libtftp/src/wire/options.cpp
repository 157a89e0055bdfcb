#include "wire/option_spec.hpp"
#include "wire/text.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace tftp {

namespace {

using detail::answer_facts;
using detail::option_spec;

using some_value = std::optional<option_value>;

/// A number that does not fit becomes `decimal_saturated`.
some_value parse_number(std::string_view text) noexcept {
    const std::optional<std::uint64_t> number = detail::parse_decimal(text);
    return number ? some_value(*number) : std::nullopt;
}

template <class Number>
some_value number_if(const std::optional<Number>& wanted) noexcept {
    return wanted ? some_value(std::uint64_t{*wanted}) : std::nullopt;
}

// blksize, RFC 2348.

some_value answer_blksize(const option_value& asked, const answer_facts& facts) noexcept {
    if (asked.number() < blksize_min) {
        return std::nullopt;
    }
    // A limit outside its range must not make the answer illegal.
    const std::uint64_t limit = std::clamp(facts.limits.blksize, blksize_min, blksize_max);
    return option_value(std::min(asked.number(), limit));
}

some_value ask_blksize(const offer& wanted) noexcept {
    return number_if(wanted.blksize);
}

bool accept_blksize(const option_value& value, const option_value& asked) noexcept {
    return value.number() >= blksize_min && value.number() <= blksize_max &&
           value.number() <= asked.number();
}

void agree_blksize(const option_value& value, parameters& agreed) noexcept {
    agreed.blksize = static_cast<std::uint16_t>(value.number());
}

// windowsize in blocks, RFC 7440.

constexpr std::uint64_t windowsize_min = 1;

some_value answer_windowsize(const option_value& asked, const answer_facts& facts) noexcept {
    if (asked.number() < windowsize_min) {
        return std::nullopt;
    }
    const std::uint64_t limit =
        std::clamp<std::uint64_t>(facts.limits.windowsize, windowsize_min, windowsize_max);
    return option_value(std::min(asked.number(), limit));
}

some_value ask_windowsize(const offer& wanted) noexcept {
    return number_if(wanted.windowsize);
}

bool accept_windowsize(const option_value& value, const option_value& asked) noexcept {
    return value.number() >= windowsize_min && value.number() <= asked.number();
}

void agree_windowsize(const option_value& value, parameters& agreed) noexcept {
    agreed.windowsize = static_cast<std::uint16_t>(value.number());
}

// timeout in seconds, RFC 2349: the answer equals the request, so nothing can be lowered.

bool is_timeout(const option_value& value) noexcept {
    return value.number() >= 1 && value.number() <= 255;
}

some_value answer_timeout(const option_value& asked, const answer_facts& facts) noexcept {
    return facts.limits.allow_timeout && is_timeout(asked) ? some_value(asked) : std::nullopt;
}

some_value ask_timeout(const offer& wanted) noexcept {
    return wanted.timeout ? some_value(static_cast<std::uint64_t>(wanted.timeout->count()))
                          : std::nullopt;
}

bool accept_timeout(const option_value& value, const option_value& asked) noexcept {
    return is_timeout(value) && value == asked;
}

void agree_timeout(const option_value& value, parameters& agreed) noexcept {
    agreed.timeout = std::chrono::seconds(value.number());
}

// tsize in bytes, RFC 2349.

some_value answer_tsize(const option_value& asked, const answer_facts& facts) noexcept {
    if (facts.request.mode != transfer_mode::octet) {
        return std::nullopt;
    }
    if (facts.request.op == opcode::wrq) {
        // A size that does not fit cannot be echoed as it was sent.
        return asked.number() == detail::decimal_saturated ? std::nullopt : some_value(asked);
    }
    return facts.file_size == std::uint64_t{0} ? std::nullopt : number_if(facts.file_size);
}

some_value ask_tsize(const offer& wanted) noexcept {
    return number_if(wanted.tsize);
}

bool accept_tsize(const option_value& value, const option_value& asked) noexcept {
    // 0 asks for the size; any other value announces one, and the answer echoes it.
    return asked.number() == 0 || value == asked;
}

void agree_tsize(const option_value& value, parameters& agreed) noexcept {
    agreed.tsize = value.number();
}

constexpr option_spec known_options[] = {
    {"blksize", parse_number, answer_blksize, ask_blksize, accept_blksize, agree_blksize},
    {"windowsize",
     parse_number,
     answer_windowsize,
     ask_windowsize,
     accept_windowsize,
     agree_windowsize},
    {"timeout", parse_number, answer_timeout, ask_timeout, accept_timeout, agree_timeout},
    // Servers that count in 32 bits with a sign write a negative number.
    {"tsize", parse_number, answer_tsize, ask_tsize, accept_tsize, agree_tsize, true},
};

/// Returns the bytes of the largest OACK that `specs` can have.
constexpr std::size_t oack_size_max(std::span<const option_spec> specs) noexcept {
    constexpr std::size_t digits_max = std::numeric_limits<std::uint64_t>::digits10 + 1;
    std::size_t size = 2;
    for (const option_spec& each : specs) {
        size += each.name.size() + 1;
        size += (each.parse == parse_number ? digits_max : option_value::text_max) + 1;
    }
    return size;
}

static_assert(std::size(known_options) <= answer::options_max);
// An engine keeps its OACK in so much room.
static_assert(oack_size_max(known_options) <= request_size_max);

/// Returns the row of the option called `name`; specs.size() when there is none.
std::size_t row_of(std::span<const option_spec> specs, std::string_view name) noexcept {
    const auto found = std::ranges::find_if(specs, [name](const option_spec& each) {
        return detail::equal_ignoring_case(name, each.name);
    });
    return static_cast<std::size_t>(found - specs.begin());
}

/// Returns true for a value that is none, and for a number that does not fit.
bool unreadable(const some_value& value) noexcept {
    return !value || *value == option_value(detail::decimal_saturated);
}

} // namespace

std::span<const option_spec> detail::option_specs() noexcept {
    return known_options;
}

answer detail::answer_request(
    std::span<const option_spec> specs,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> file_size
) noexcept {
    TFTP_ASSERT(specs.size() <= answer::options_max);
    answer result;
    std::array<bool, answer::options_max> seen{};
    for (const option_list::entry& each : request.options) {
        const std::size_t row = row_of(specs, each.name);
        if (row == specs.size() || std::exchange(seen[row], true)) {
            continue;
        }
        const some_value asked = specs[row].parse(each.value);
        if (!asked) {
            continue;
        }
        const some_value value = specs[row].answer(*asked, {request, limits, file_size});
        if (!value) {
            continue;
        }
        specs[row].agree(*value, result.agreed);
        result.options[result.accepted_count] = {each.name, *value};
        ++result.accepted_count;
    }
    return result;
}

answer answer_request(
    const request_view& request, const option_limits& limits, std::optional<std::uint64_t> file_size
) noexcept {
    return detail::answer_request(known_options, request, limits, file_size);
}

result<parameters> detail::accept_oack(
    std::span<const option_spec> specs, const oack_view& oack, const offer& sent
) noexcept {
    TFTP_ASSERT(specs.size() <= answer::options_max);
    std::array<some_value, answer::options_max> values{};
    std::array<bool, answer::options_max> unknown{};
    for (const option_list::entry& each : oack.options) {
        const std::size_t row = row_of(specs, each.name);
        const some_value asked = row < specs.size() ? specs[row].ask(sent) : std::nullopt;
        if (!asked) {
            return errc::bad_option_answer;
        }
        const some_value value = specs[row].parse(each.value);
        if (unreadable(value)) {
            unknown[row] = true;
        } else if (!specs[row].accept(*value, *asked)) {
            return errc::bad_option_answer;
        } else {
            // tftp-hpa repeats an option that it was asked twice; only a contradiction is an error.
            const some_value before = std::exchange(values[row], value);
            unknown[row] = unknown[row] || (before && before != value);
        }
        if (unknown[row] && !specs[row].advisory) {
            return errc::bad_option_answer;
        }
    }
    parameters agreed;
    for (std::size_t row = 0; row < specs.size(); ++row) {
        if (values[row] && !unknown[row]) {
            specs[row].agree(*values[row], agreed);
        }
    }
    return agreed;
}

result<parameters> accept_oack(const oack_view& oack, const offer& sent) noexcept {
    return detail::accept_oack(known_options, oack, sent);
}

} // namespace tftp
