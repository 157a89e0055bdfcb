// decode() of any datagram: a second, simpler reading of RFC 1350 s.5 comes to the same, every view
// stands in the datagram, and what our encoders write of it is read as the same again.
#include "fuzz/fuzz.hpp"

#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

using namespace tftp;
using fuzz::require;

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

/// Takes the text before the next NUL and the NUL; empty without one.
std::optional<std::string> take_string(std::string_view& text) {
    const std::size_t nul = text.find('\0');
    if (nul == std::string_view::npos) {
        return std::nullopt;
    }
    std::string taken(text.substr(0, nul));
    text.remove_prefix(nul + 1);
    return taken;
}

pairs read_pairs(std::string_view tail) {
    pairs all;
    for (;;) {
        auto name = take_string(tail);
        auto value = take_string(tail);
        if (!name || name->empty() || !value) {
            return all;
        }
        all.emplace_back(std::move(*name), std::move(*value));
    }
}

std::string lowered(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return text;
}

void check_inside(std::string_view part, std::string_view whole) {
    require(
        part.empty() || (part.data() >= whole.data() &&
                         part.data() + part.size() <= whole.data() + whole.size()),
        "a view leaves the datagram"
    );
}

void check_options(const option_list& options, std::string_view tail, std::string_view whole) {
    const pairs expected = read_pairs(tail);
    std::size_t count = 0;
    for (const option_list::entry& each : options) {
        check_inside(each.name, whole);
        check_inside(each.value, whole);
        require(count < expected.size(), "an option that is not there");
        require(each.name == expected[count].first, "another name of an option");
        require(each.value == expected[count].second, "another value of an option");
        const auto first = std::find_if(expected.begin(), expected.end(), [&](const auto& pair) {
            return lowered(pair.first) == lowered(std::string(each.name));
        });
        require(options.find(each.name) == first->second, "find() finds another option");
        ++count;
    }
    require(count == expected.size(), "an option is missing");
    require(options.empty() == expected.empty(), "empty() is wrong");
}

void check_request(const result<packet_view>& packet, std::string_view whole) {
    std::string_view rest = whole.substr(2);
    const auto name = take_string(rest);
    if (!name || name->empty() || rest.empty()) {
        require(packet.has_error() && packet.error() == errc::malformed, "a broken request");
        return;
    }
    std::string mode(rest);
    if (const auto ended = take_string(rest)) {
        mode = *ended;
    } else {
        rest = {};
    }
    mode = lowered(mode);
    if (mode != "octet" && mode != "netascii") {
        require(packet.has_error() && packet.error() == errc::unsupported_mode, "an odd mode");
        return;
    }
    require(packet.has_value(), "a good request is refused");
    const auto& request = std::get<request_view>(*packet);
    check_inside(request.filename, whole);
    require(static_cast<char>(request.op) == whole[1], "another opcode");
    require(request.filename == *name, "another file name");
    require(to_string(request.mode) == mode, "another mode");
    check_options(request.options, rest, whole);

    std::array<std::byte, request_size_max> out{};
    const auto size = encode_request(request.op, request.filename, request.mode, {}, out);
    // Opcode, name and mode, each of the latter with its NUL.
    require(
        size.has_value() == (2 + name->size() + 1 + mode.size() + 1 <= out.size()), "the limit"
    );
    if (size) {
        const auto again = decode(bytes_view(out).first(*size));
        require(again.has_value(), "our own request is refused");
        const auto& same = std::get<request_view>(*again);
        require(
            same.op == request.op && same.filename == request.filename &&
                same.mode == request.mode && same.options.empty(),
            "a request changes on its way"
        );
    }
}

void check_error(const error_view& error, std::string_view whole) {
    check_inside(error.message, whole);
    std::string_view rest = whole.substr(header_size);
    const std::string text = std::string(rest.substr(0, rest.find('\0')));
    require(error.message == text, "another text of an ERROR");
    std::array<std::byte, 64> out{};
    const auto size = encode_error(error.code, error.message, out);
    require(size.has_value() && out[*size - 1] == std::byte{0}, "an ERROR without its NUL");
    const auto again = decode(bytes_view(out).first(*size));
    require(again.has_value(), "our own ERROR is refused");
    const auto& same = std::get<error_view>(*again);
    require(same.code == error.code, "the code changes on its way");
    require(same.message == text.substr(0, out.size() - header_size - 1), "the text changes");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const bytes_view datagram = std::as_bytes(std::span(data, size));
    const std::string_view whole = fuzz::as_text(datagram);
    const result<packet_view> packet = decode(datagram);
    const int op = size < 2 ? -1 : data[0] << 8 | data[1];
    if (op == 1 || op == 2) {
        check_request(packet, whole);
    } else if (op == 6) {
        require(packet.has_value(), "an OACK is refused");
        check_options(std::get<oack_view>(*packet).options, whole.substr(2), whole);
    } else if (size < 2 || (op >= 3 && op <= 5 && size < header_size)) {
        require(packet.has_error() && packet.error() == errc::malformed, "a short datagram");
    } else if (op == 3) {
        const auto& block = std::get<data_view>(packet.value());
        std::array<std::byte, header_size> header{};
        encode_data_header(header, block.block);
        require(std::ranges::equal(header, datagram.first(header_size)), "another header of DATA");
        require(fuzz::as_text(block.payload) == whole.substr(header_size), "another payload");
    } else if (op == 4) {
        const auto& ack = std::get<ack_view>(packet.value());
        const auto again = encode_ack(ack.block);
        require(std::ranges::equal(again, datagram.first(header_size)), "another ACK");
        require(fuzz::as_text(ack.extra) == whole.substr(header_size), "other bytes behind an ACK");
    } else if (op == 5) {
        check_error(std::get<error_view>(packet.value()), whole);
    } else {
        require(packet.has_error() && packet.error() == errc::unknown_opcode, "an odd opcode");
    }
    return 0;
}
