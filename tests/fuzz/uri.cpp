// Any text as a URI: what is read of it, written as a URI again, is read as the same.
//
// Input: size of the buffer for the name, then the text.
#include "fuzz/fuzz.hpp"

#include <tftp/wire/uri.hpp>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

using namespace tftp;
using fuzz::require;

namespace {

/// Writes a URI with everything escaped that could mean something else. RFC 3986 s.2.1.
std::string written(const uri& parts) {
    const bool bracketed = parts.host.find_first_of(":%") != std::string_view::npos;
    std::string out = "TFTP://";
    out += bracketed ? '[' + std::string(parts.host) + ']' : std::string(parts.host);
    out += ':' + std::to_string(parts.port) + '/';
    for (const char c : parts.file) {
        constexpr char digits[] = "0123456789abcdef";
        const auto octet = static_cast<unsigned char>(c);
        if (std::isalnum(octet) != 0) {
            out += c;
        } else {
            out += {'%', digits[octet >> 4U], digits[octet & 0xfU]};
        }
    }
    out += ";mode=";
    out += to_string(parts.mode);
    return out;
}

void check_parts(const uri& parts, std::string_view text) {
    require(!parts.host.empty() && !parts.file.empty(), "an empty part");
    require(
        parts.host.data() > text.data() &&
            parts.host.data() + parts.host.size() < text.data() + text.size(),
        "the host leaves the text"
    );
    require(parts.host.find_first_of("/@?# []") == std::string_view::npos, "no host");
    require(parts.port != 0, "port 0");
    require(parts.file.find('\0') == std::string_view::npos, "a NUL in the name");
    require(parts.file.size() + parts.host.size() + 8 <= text.size(), "more than was there");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    const std::size_t room = in.u8();
    const std::string_view text = fuzz::as_text(in.rest());
    std::vector<char> buffer(text.size());
    const result<uri> parsed = parse_uri(text, buffer);
    std::vector<char> small(room);
    const result<uri> in_small = parse_uri(text, small);
    if (!parsed) {
        require(parsed.error() == errc::bad_uri, "another error");
        require(in_small.has_error(), "a small buffer makes a bad URI good");
        return 0;
    }
    check_parts(*parsed, text);
    require(in_small.has_value() == (parsed->file.size() <= room), "the size of the buffer");
    require(
        in_small ? in_small->file == parsed->file : in_small.error() == errc::too_long,
        "another result in a small buffer"
    );

    const std::string again = written(*parsed);
    std::vector<char> second(again.size());
    const result<uri> same = parse_uri(again, second);
    require(same.has_value(), "what was read cannot be written");
    require(
        same->host == parsed->host && same->port == parsed->port && same->file == parsed->file &&
            same->mode == parsed->mode,
        "the parts change on their way"
    );
    return 0;
}
