#pragma once

#include <tftp/base/bytes.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tftp::test {

/// Returns a copy of the text as bytes; write literals with NULs as `"..."sv`.
[[nodiscard]] inline std::vector<std::byte> octets(std::string_view text) {
    const bytes_view bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

/// Returns a copy of the bytes as text.
[[nodiscard]] inline std::string text(bytes_view bytes) {
    std::string copy;
    copy.reserve(bytes.size());
    for (const std::byte each : bytes) {
        copy.push_back(static_cast<char>(each));
    }
    return copy;
}

} // namespace tftp::test
