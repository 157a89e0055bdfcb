#include "escape.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace tftp::cli {

namespace {

/// One character of a text. size: its bytes. valid: whether they are UTF-8.
struct character {
    std::uint32_t code = 0;
    std::size_t size = 1;
    bool valid = false;
};

[[nodiscard]] std::uint32_t octet(std::string_view text, std::size_t at) noexcept {
    return static_cast<unsigned char>(text[at]);
}

/// Reads the first character of `text`, which is not empty. RFC 3629 s.3.
[[nodiscard]] character first_character(std::string_view text) noexcept {
    const std::uint32_t lead = octet(text, 0);
    if (lead < 0x80) {
        return {lead, 1, true};
    }
    std::size_t size = 0;
    std::uint32_t code = 0;
    std::uint32_t least = 0;
    if ((lead & 0xe0U) == 0xc0) {
        size = 2;
        code = lead & 0x1fU;
        least = 0x80;
    } else if ((lead & 0xf0U) == 0xe0) {
        size = 3;
        code = lead & 0x0fU;
        least = 0x800;
    } else if ((lead & 0xf8U) == 0xf0) {
        size = 4;
        code = lead & 0x07U;
        least = 0x10000;
    }
    if (size == 0 || size > text.size()) {
        return {lead, 1, false};
    }
    for (std::size_t i = 1; i < size; ++i) {
        const std::uint32_t next = octet(text, i);
        if ((next & 0xc0U) != 0x80) {
            return {lead, 1, false};
        }
        code = code << 6 | (next & 0x3fU);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < least || code > 0x10ffff || surrogate) {
        return {lead, 1, false};
    }
    return {code, size, true};
}

/// C0 and C1 controls, line and paragraph separators, and what turns the writing direction: a name
/// shown backwards is a name that lies.
[[nodiscard]] bool commands_a_terminal(std::uint32_t code) noexcept {
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

} // namespace

std::string escape_for_terminal(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const character c = first_character(text);
        const std::string_view octets = text.substr(0, c.size);
        if (!c.valid || commands_a_terminal(c.code)) {
            for (std::size_t i = 0; i < octets.size(); ++i) {
                fmt::format_to(std::back_inserter(out), "\\x{:02x}", octet(octets, i));
            }
        } else if (c.code == '\\') {
            out += "\\\\";
        } else {
            out += octets;
        }
        text.remove_prefix(c.size);
    }
    return out;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const character c = first_character(text);
        if (!c.valid) {
            out += "\\ufffd";
        } else if (c.code == '"' || c.code == '\\') {
            out += '\\';
            out += text.front();
        } else if (c.size <= 3 && commands_a_terminal(c.code)) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", c.code);
        } else {
            out += text.substr(0, c.size);
        }
        text.remove_prefix(c.size);
    }
    out += '"';
    return out;
}

} // namespace tftp::cli
