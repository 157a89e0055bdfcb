#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

namespace tftp::test {

inline bytes_view view(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// Returns bytes that differ from place to place.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::string text(size, '\0');
    std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random()); });
    return text;
}

/// What one read brought.
struct piece {
    std::string octets;
    bool end = false;
    error_code error;
};

/// Reads `size` bytes in gaps of `gap` bytes.
template <class Read>
piece read_piece(Read read, std::uint64_t offset, std::size_t size, std::size_t gap) {
    piece got;
    got.octets.assign(size, '?');
    std::vector<::iovec> gaps;
    for (std::size_t at = 0; at < size; at += gap) {
        gaps.push_back({got.octets.data() + at, std::min(gap, size - at)});
    }
    const result<read_outcome> outcome = read(offset, std::span<const ::iovec>(gaps));
    if (!outcome) {
        got.error = outcome.error();
        got.octets.clear();
        return got;
    }
    got.octets.resize(outcome->bytes);
    got.end = outcome->end;
    return got;
}

inline piece try_read(source& from, std::uint64_t offset, std::size_t size, std::size_t gap = 512) {
    return read_piece(
        [&](std::uint64_t at, std::span<const ::iovec> gaps) { return from.try_read(at, gaps); },
        offset,
        size,
        gap
    );
}

inline piece read(source& from, std::uint64_t offset, std::size_t size, std::size_t gap = 512) {
    return read_piece(
        [&](std::uint64_t at, std::span<const ::iovec> gaps) { return from.read(at, gaps); },
        offset,
        size,
        gap
    );
}

/// Writes `content` from octet `offset` on, in payloads of `part` bytes, all in one call.
inline error_code
write(sink& to, std::uint64_t offset, std::string_view content, std::size_t part = 512) {
    std::string copy(content);
    std::vector<::iovec> payloads;
    for (std::size_t at = 0; at < copy.size(); at += part) {
        payloads.push_back({copy.data() + at, std::min(part, copy.size() - at)});
    }
    return to.write(offset, payloads);
}

inline std::string text_of(bytes_view octets) {
    std::string text;
    for (const std::byte octet : octets) {
        text += static_cast<char>(octet);
    }
    return text;
}

} // namespace tftp::test
