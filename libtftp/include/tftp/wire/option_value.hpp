#pragma once

#include <tftp/base/fixed_text.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tftp {

/// The value of an option: a number, or a text of its own. Holds its text, so it borrows nothing.
class option_value {
public:
    /// Bytes of the longest text that an option may have: enough for an IPv6 address, a port and a
    /// flag, which RFC 2090 asks for.
    static constexpr std::size_t text_max = 63;

    /// The number 0.
    constexpr option_value() noexcept = default;

    /// The number `number`.
    constexpr explicit option_value(std::uint64_t number) noexcept : number_(number) {}

    /// The text `text`: at most `text_max` bytes, of which none is NUL. Of a longer text it keeps
    /// the beginning.
    constexpr explicit option_value(std::string_view text) noexcept : text_(text), is_text_(true) {}

    [[nodiscard]] constexpr bool is_text() const noexcept { return is_text_; }

    /// Returns the number; 0 for a text.
    [[nodiscard]] constexpr std::uint64_t number() const noexcept { return number_; }

    /// Returns the text; empty for a number. Lifetime: as long as this.
    [[nodiscard]] constexpr std::string_view text() const noexcept { return text_.view(); }

    friend constexpr bool operator==(const option_value& a, const option_value& b) noexcept {
        return a.is_text_ == b.is_text_ && a.number_ == b.number_ && a.text() == b.text();
    }

private:
    std::uint64_t number_ = 0;
    fixed_text<text_max> text_{};
    bool is_text_ = false;
};

} // namespace tftp
