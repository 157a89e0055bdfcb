#include "wire/text.hpp"

#include <tftp/wire/uri.hpp>

#include <algorithm>
#include <optional>

namespace tftp {

namespace {

constexpr std::string_view scheme = "tftp://";
constexpr std::string_view mode_prefix = ";mode=";

bool is_alphanumeric(char c) noexcept {
    const char lower = detail::to_lower(c);
    return detail::is_digit(c) || (lower >= 'a' && lower <= 'z');
}

/// Splits off the first `size` bytes.
std::string_view take(std::string_view& text, std::size_t size) noexcept {
    const std::string_view head(text.data(), size);
    text.remove_prefix(size);
    return head;
}

bool is_host(std::string_view host, std::string_view punctuation) noexcept {
    return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
        return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
    });
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port` into `out`.
bool parse_authority(std::string_view authority, uri& out) noexcept {
    if (authority.starts_with('[')) {
        authority.remove_prefix(1);
        const std::size_t size = authority.find(']');
        if (size == std::string_view::npos) {
            return false;
        }
        out.host = take(authority, size);
        authority.remove_prefix(1);
        if (!is_host(out.host, ":.%-_~")) {
            return false;
        }
    } else {
        out.host = take(authority, std::min(authority.find(':'), authority.size()));
        if (!is_host(out.host, "-._~")) {
            return false;
        }
    }
    if (authority.empty()) {
        return true;
    }
    if (!authority.starts_with(':')) {
        return false;
    }
    authority.remove_prefix(1);
    if (authority.empty()) {
        return true; // RFC 3986 s.3.2.3: an empty port is the default one.
    }
    const std::optional<std::uint64_t> port = detail::parse_decimal(authority);
    if (!port || *port == 0 || *port > 65535) {
        return false;
    }
    out.port = static_cast<std::uint16_t>(*port);
    return true;
}

/// Returns where `;mode=` begins, in any letter case, or the size of the text.
std::size_t find_mode(std::string_view text) noexcept {
    for (std::size_t at = 0; at + mode_prefix.size() <= text.size(); ++at) {
        if (detail::equal_ignoring_case({text.data() + at, mode_prefix.size()}, mode_prefix)) {
            return at;
        }
    }
    return text.size();
}

std::optional<unsigned> hex_digit(char c) noexcept {
    if (detail::is_digit(c)) {
        return static_cast<unsigned>(c - '0');
    }
    const char lower = detail::to_lower(c);
    if (lower >= 'a' && lower <= 'f') {
        return static_cast<unsigned>(lower - 'a') + 10;
    }
    return std::nullopt;
}

result<std::string_view> unescape(std::string_view text, std::span<char> buffer) noexcept {
    std::size_t size = 0;
    while (!text.empty()) {
        char byte = take(text, 1).front();
        if (byte == '%') {
            if (text.size() < 2) {
                return errc::bad_uri;
            }
            const std::optional<unsigned> high = hex_digit(text[0]);
            const std::optional<unsigned> low = hex_digit(text[1]);
            if (!high || !low) {
                return errc::bad_uri;
            }
            byte = static_cast<char>(*high << 4 | *low);
            text.remove_prefix(2);
        }
        if (byte == '\0') {
            return errc::bad_uri;
        }
        if (size == buffer.size()) {
            return errc::too_long;
        }
        buffer[size++] = byte;
    }
    return std::string_view(buffer.data(), size);
}

} // namespace

result<uri> parse_uri(std::string_view text, std::span<char> buffer) noexcept {
    if (text.size() < scheme.size() ||
        !detail::equal_ignoring_case(take(text, scheme.size()), scheme)) {
        return errc::bad_uri;
    }
    uri parsed;
    const std::size_t authority_size = text.find('/');
    if (authority_size == std::string_view::npos ||
        !parse_authority(take(text, authority_size), parsed)) {
        return errc::bad_uri;
    }
    text.remove_prefix(1);

    const std::string_view escaped = take(text, find_mode(text));
    if (!text.empty()) {
        text.remove_prefix(mode_prefix.size());
        if (detail::equal_ignoring_case(text, to_string(transfer_mode::netascii))) {
            parsed.mode = transfer_mode::netascii;
        } else if (!detail::equal_ignoring_case(text, to_string(transfer_mode::octet))) {
            return errc::bad_uri;
        }
    }
    if (escaped.empty()) {
        return errc::bad_uri;
    }
    const result<std::string_view> file = unescape(escaped, buffer);
    if (!file) {
        return file.error();
    }
    parsed.file = *file;
    return parsed;
}

} // namespace tftp
