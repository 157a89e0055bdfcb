// Text of strangers on a terminal, in JSON and in the log: nothing in it commands the reader, and
// what was written can be told from what is shown.
//
// Input: the text.
#include "escape.hpp"

#include "fuzz/fuzz.hpp"
#include "log.hpp"

#include <algorithm>
#include <string>
#include <string_view>

using tftp::fuzz::require;

namespace {

/// Takes back what escape_for_terminal() and quoted() do.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        require(i + 1 < text.size(), "a lone backslash");
        ++i;
        if (text[i] != 'x') {
            require(text[i] == '\\' || text[i] == '"', "an unknown escape");
            out += text[i];
            continue;
        }
        require(i + 2 < text.size(), "half an escape");
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
    }
    return out;
}

bool holds_control(std::string_view text) {
    const bool ascii = std::any_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    bool wide = false;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        // U+0080 to U+009F
        wide = wide || (text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0);
    }
    // What turns the writing direction, the last ones of U+20xx.
    for (const char* const turn :
         {"\xe2\x80\xae", "\xe2\x80\xab", "\xe2\x81\xa6", "\xe2\x80\x8f"}) {
        wide = wide || text.find(turn) != std::string_view::npos;
    }
    return ascii || wide;
}

/// One valid UTF-8 character after the other. RFC 3629 s.4, written as its table.
bool is_utf8(std::string_view text) {
    const auto octet = [&text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const auto within = [](unsigned value, unsigned first, unsigned last) {
        return value >= first && value <= last;
    };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned a = octet(i);
        const unsigned b = octet(i + 1);
        const bool c = within(octet(i + 2), 0x80, 0xbf);
        const bool d = within(octet(i + 3), 0x80, 0xbf);
        const unsigned least = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
        const unsigned most = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
        const bool second = within(b, least, most);
        if (a < 0x80) {
            i += 1;
        } else if (within(a, 0xc2, 0xdf) && second) {
            i += 2;
        } else if (within(a, 0xe0, 0xef) && second && c) {
            i += 3;
        } else if (within(a, 0xf0, 0xf4) && second && c && d) {
            i += 4;
        } else {
            return false;
        }
    }
    return true;
}

void check_json(std::string_view json, std::string_view text) {
    require(json.size() >= 2 && json.front() == '"' && json.back() == '"', "no JSON string");
    json = json.substr(1, json.size() - 2);
    std::string plain;
    for (std::size_t i = 0; i < json.size(); ++i) {
        require(json[i] != '"', "the string ends early");
        if (json[i] != '\\') {
            plain += json[i];
            continue;
        }
        require(i + 1 < json.size(), "a lone backslash");
        ++i;
        if (json[i] != 'u') {
            require(json[i] == '\\' || json[i] == '"', "an unknown escape");
            plain += json[i];
            continue;
        }
        require(i + 4 < json.size(), "half an escape");
        const int code = std::stoi(std::string(json.substr(i + 1, 4)), nullptr, 16);
        plain += code < 0x80 ? static_cast<char>(code) : '?';
        i += 4;
    }
    require(plain.size() <= text.size(), "more than was there");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = tftp::fuzz::as_text(std::as_bytes(std::span(data, size)));

    const std::string shown = tftp::cli::escape_for_terminal(text);
    require(!holds_control(shown) && is_utf8(shown), "a terminal would obey");
    require(unescaped(shown) == text, "the text cannot be told from what is shown");

    const std::string json = tftp::cli::json_string(text);
    require(!holds_control(json) && is_utf8(json), "JSON that no reader takes");
    check_json(json, text);

    const std::string quoted = tftpd::quoted(text);
    require(
        std::all_of(quoted.begin(), quoted.end(), [](char c) { return c >= ' ' && c <= '~'; }),
        "a log line holds more than printable ASCII"
    );
    // A long text is cut, and says so behind its quotes.
    constexpr std::string_view mark = "...";
    std::string_view inside = quoted;
    const bool cut = inside.ends_with(mark);
    inside.remove_suffix(cut ? mark.size() : 0);
    require(inside.front() == '"' && inside.back() == '"', "no quotes");
    const std::string shown_in_log = unescaped(inside.substr(1, inside.size() - 2));
    require(
        cut ? text.starts_with(shown_in_log) && inside.size() > 250 : shown_in_log == text,
        "the name cannot be told from the log"
    );
    return 0;
}
