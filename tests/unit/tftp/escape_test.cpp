#include "escape.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>

using namespace tftp::cli;
using namespace std::string_view_literals;

TEST_CASE("harmless text is shown as it is", "[tftp][escape]") {
    CHECK(escape_for_terminal("a b/c-1.0~") == "a b/c-1.0~");
    CHECK(escape_for_terminal("Grüße, 世界 \xf0\x9f\x98\x80") == "Grüße, 世界 \xf0\x9f\x98\x80");
    CHECK(escape_for_terminal("").empty());
}

TEST_CASE("what commands a terminal is shown as octets", "[tftp][escape]") {
    CHECK(escape_for_terminal("\x1b[2J") == R"(\x1b[2J)");
    CHECK(escape_for_terminal("a\nb\r\t\x7f") == R"(a\x0ab\x0d\x09\x7f)");
    CHECK(escape_for_terminal("a\0b"sv) == R"(a\x00b)");
    // U+009B is CSI in eight bits, U+202E turns the line around.
    CHECK(escape_for_terminal("\xc2\x9b") == R"(\xc2\x9b)");
    CHECK(escape_for_terminal("\xe2\x80\xae") == R"(\xe2\x80\xae)");
    CHECK(escape_for_terminal("\xe2\x81\xa6") == R"(\xe2\x81\xa6)");
}

TEST_CASE("a backslash cannot be mistaken for an escape", "[tftp][escape]") {
    CHECK(escape_for_terminal(R"(\x1b)") == R"(\\x1b)");
}

TEST_CASE("octets that are no UTF-8 are escaped one by one", "[tftp][escape]") {
    CHECK(escape_for_terminal("\xff\xfe") == R"(\xff\xfe)");
    CHECK(escape_for_terminal("\xc3") == R"(\xc3)");
    CHECK(escape_for_terminal("\xc3x") == R"(\xc3x)");
    CHECK(escape_for_terminal("\xc0\xaf") == R"(\xc0\xaf)");                 // overlong
    CHECK(escape_for_terminal("\xed\xa0\x80") == R"(\xed\xa0\x80)");         // surrogate
    CHECK(escape_for_terminal("\xf4\x90\x80\x80") == R"(\xf4\x90\x80\x80)"); // beyond U+10FFFF
    CHECK(escape_for_terminal("\xe2\x82") == R"(\xe2\x82)");                 // cut off
}

TEST_CASE("JSON strings carry any text", "[tftp][escape]") {
    CHECK(json_string("") == R"("")");
    CHECK(json_string(R"(a"b\c)") == R"("a\"b\\c")");
    CHECK(json_string("\n\x1b\0"sv) == R"("\u000a\u001b\u0000")");
    CHECK(json_string("\xe2\x80\xae") == R"("\u202e")");
    CHECK(json_string("ü\xff") == "\"ü\\ufffd\"");
    CHECK(json_string("\xf0\x9f\x98\x80") == "\"\xf0\x9f\x98\x80\"");
}

TEST_CASE("every octet pair gives printable output", "[tftp][escape]") {
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second)};
            const std::string shown = escape_for_terminal(text) + json_string(text);
            const bool printable = std::all_of(shown.begin(), shown.end(), [](char c) {
                const auto octet = static_cast<unsigned char>(c);
                return octet >= 0x20 && octet != 0x7f;
            });
            if (!printable) {
                FAIL_CHECK(first << ' ' << second);
            }
        }
    }
}
