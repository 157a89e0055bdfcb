#pragma once

#include <tftp/base/error.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace tftp {

/// The parts of `tftp://host[:port]/file[;mode=netascii|octet]`.
///
/// Lifetime: `host` borrows the text, `file` the caller's buffer.
struct uri {
    /// A name or an address; an IPv6 address without its brackets, a zone behind a bare `%`.
    std::string_view host;
    std::uint16_t port = 69;
    /// Percent-escapes are resolved; the `/` behind the host is not part of it.
    std::string_view file;
    transfer_mode mode = transfer_mode::octet;
};

/// Parses a TFTP URI; scheme and mode are of any letter case.
///
/// buffer: at least as large as `text`; holds the unescaped file name. Errors: `errc::bad_uri`
/// (scheme, empty host, bad port, bad or NUL percent-escape, unknown `;mode=`, no file),
/// `errc::too_long` when the buffer is too small. RFC 3617.
[[nodiscard]] result<uri> parse_uri(std::string_view text, std::span<char> buffer) noexcept;

} // namespace tftp
