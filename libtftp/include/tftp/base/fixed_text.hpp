#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tftp {

/// A text of up to `Capacity` bytes that stands in the object, so that this is trivially copyable.
/// Of a longer text it keeps the first `Capacity` bytes: choose one more than what is valid.
template <std::size_t Capacity>
class fixed_text {
public:
    constexpr fixed_text() = default;

    /// Takes a copy of `text`.
    template <std::convertible_to<std::string_view> Text>
    constexpr fixed_text(const Text& text) noexcept { // NOLINT(google-explicit-constructor)
        const std::string_view whole = text;
        size_ = static_cast<std::uint16_t>(std::min(whole.size(), Capacity));
        std::copy_n(whole.begin(), size_, chars_.begin());
    }

    /// Returns the text. Lifetime: as long as this.
    [[nodiscard]] constexpr std::string_view view() const noexcept {
        return {chars_.data(), size_};
    }

    constexpr operator std::string_view() const noexcept { // NOLINT(google-explicit-constructor)
        return view();
    }

    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

private:
    static_assert(Capacity <= UINT16_MAX);
    std::array<char, Capacity> chars_{};
    std::uint16_t size_ = 0;
};

} // namespace tftp
