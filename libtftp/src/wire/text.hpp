#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace tftp::detail {

/// Lowers the letters of US-ASCII only: the result never depends on a locale.
[[nodiscard]] constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

[[nodiscard]] constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

/// What `parse_decimal` returns for every number that does not fit.
inline constexpr std::uint64_t decimal_saturated = std::numeric_limits<std::uint64_t>::max();

/// Returns the number that `text` is: digits and nothing else, at least one of them. No sign, no
/// blank, no `0x`. What does not fit becomes `decimal_saturated`.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept {
    if (text.empty()) {
        return std::nullopt;
    }
    std::uint64_t number = 0;
    for (const char c : text) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        const auto digit = static_cast<std::uint64_t>(c - '0');
        number =
            number > (decimal_saturated - digit) / 10 ? decimal_saturated : number * 10 + digit;
    }
    return number;
}

} // namespace tftp::detail
