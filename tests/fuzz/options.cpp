// The answer to the options of any request is the one OACK that the RFCs and our limits leave, to
// the octet; a client that asked accepts it; and no OACK whatever raises what a client asked.
//
// Input: limits, size of the file, verb and mode, then the options as they stand in the datagram.
#include "fuzz/fuzz.hpp"

#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>

using namespace tftp;
using fuzz::require;

namespace {

std::string lowered(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return out;
}

/// Digits without leading zeros; empty when the text is no number.
std::string digits_of(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
        return {};
    }
    text.remove_prefix(std::min(text.find_first_not_of('0'), text.size() - 1));
    return std::string(text);
}

/// Longer numbers are larger, and those of one length compare as text.
bool above(const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a > b;
}

/// What the OACK says to `value` of the option `name`; empty for nothing.
std::string expected_value(
    const std::string& name,
    std::string_view value,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> file_size
) {
    std::string asked = digits_of(value);
    const auto lower_to = [&asked](std::uint64_t limit) {
        return above(asked, std::to_string(limit)) ? std::to_string(limit) : asked;
    };
    if (asked.empty()) {
        return {};
    }
    if (name == "blksize") {
        return above("8", asked) ? "" : lower_to(limits.blksize);
    }
    if (name == "windowsize") {
        return asked == "0" ? "" : lower_to(limits.windowsize);
    }
    if (name == "timeout") {
        return asked == "0" || above(asked, "255") || !limits.allow_timeout ? "" : asked;
    }
    if (name != "tsize" || request.mode != transfer_mode::octet) {
        return {};
    }
    if (request.op == opcode::rrq) {
        return file_size.value_or(0) == 0 ? "" : std::to_string(*file_size);
    }
    // What does not fit cannot be echoed as it was sent.
    return above(std::to_string(~std::uint64_t{0}), asked) ? asked : "";
}

std::string expected_oack(
    const request_view& request, const option_limits& limits, std::optional<std::uint64_t> file_size
) {
    std::string out("\0\6", 2);
    std::set<std::string> seen;
    for (const option_list::entry& each : request.options) {
        const std::string name = lowered(each.name);
        const bool first = seen.insert(name).second;
        const std::string value = expected_value(name, each.value, request, limits, file_size);
        if (first && !value.empty()) {
            out.append(each.name).append(1, '\0').append(value).append(1, '\0');
        }
    }
    return out;
}

/// What a client of this library offers, as far as it can offer what `request` asks.
offer offer_of(const request_view& request) {
    offer sent;
    const auto number = [&request](std::string_view name) -> std::optional<std::uint64_t> {
        const auto value = request.options.find(name);
        const std::string digits = value ? digits_of(*value) : std::string();
        if (digits.empty() || digits.size() > 18) {
            return std::nullopt;
        }
        return std::stoull(digits);
    };
    const auto blksize = number("blksize");
    const auto windowsize = number("windowsize");
    const auto timeout = number("timeout");
    if (blksize && *blksize >= blksize_min && *blksize <= blksize_max) {
        sent.blksize = static_cast<std::uint16_t>(*blksize);
    }
    if (windowsize && *windowsize >= 1 && *windowsize <= windowsize_max) {
        sent.windowsize = static_cast<std::uint16_t>(*windowsize);
    }
    if (timeout && *timeout >= 1 && *timeout <= 255) {
        sent.timeout = std::chrono::seconds(*timeout);
    }
    sent.tsize = number("tsize");
    if (sent.tsize && request.op == opcode::rrq) {
        sent.tsize = 0;
    }
    return sent;
}

/// A client accepts what it asked for, and never more.
void check_client(const oack_view& oack, const offer& sent) {
    const result<parameters> agreed = accept_oack(oack, sent);
    if (!agreed) {
        require(agreed.error() == errc::bad_option_answer, "another error");
        return;
    }
    require(agreed->blksize >= blksize_min, "a blksize below the range");
    require(agreed->blksize <= std::max(sent.blksize.value_or(0), blksize_default), "raised");
    require(sent.blksize || agreed->blksize == blksize_default, "a blksize unasked");
    require(agreed->windowsize >= 1, "no window");
    require(agreed->windowsize <= sent.windowsize.value_or(1), "a raised window");
    require(!agreed->timeout || agreed->timeout == sent.timeout, "an altered timeout");
    require(!agreed->tsize || sent.tsize, "a tsize unasked");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    option_limits limits;
    limits.blksize = std::clamp<std::uint16_t>(in.u16(), blksize_min, blksize_max);
    limits.windowsize = std::clamp<std::uint16_t>(in.u16(), 1, windowsize_max);
    const std::uint8_t flags = in.u8();
    limits.allow_timeout = (flags & 1U) == 0;
    std::optional<std::uint64_t> file_size;
    if ((flags & 2U) == 0) {
        file_size = (flags & 4U) == 0 ? in.u16() : in.u64();
    }
    request_view request;
    request.op = (flags & 8U) == 0 ? opcode::rrq : opcode::wrq;
    request.mode = (flags & 16U) == 0 ? transfer_mode::octet : transfer_mode::netascii;
    request.filename = "file";
    const bytes_view tail = in.rest();
    request.options = option_list(fuzz::as_text(tail));

    const offer sent = offer_of(request);
    check_client({request.options}, sent);
    check_client({request.options}, {});

    const answer answered = answer_request(request, limits, file_size);
    const std::string expected = expected_oack(request, limits, file_size);
    require(answered.needs_oack() == (expected.size() > 2), "an OACK where none is due, or none");
    if (!answered.needs_oack()) {
        require(answered.agreed == parameters{}, "agreed without an OACK");
        return 0;
    }
    std::array<std::byte, 128> out{};
    const auto written = encode_oack(answered, out);
    require(written.has_value(), "128 octets are not enough");
    const bytes_view octets = bytes_view(out).first(*written);
    require(fuzz::as_text(octets) == expected, "another OACK than expected");
    const auto packet = decode(octets);
    require(packet.has_value(), "our own OACK is refused");
    const auto& oack = std::get<oack_view>(*packet);
    check_client(oack, sent);
    const auto agreed = accept_oack(oack, sent);
    // What fills the range is no size: the client takes it as not known.
    const bool no_size = answered.agreed.tsize.value_or(0) == ~std::uint64_t{0};
    const auto same = [&](parameters theirs) {
        theirs.tsize = no_size ? answered.agreed.tsize : theirs.tsize;
        return theirs == answered.agreed;
    };
    require(!agreed || same(*agreed), "the sides agree on different parameters");
    return 0;
}
