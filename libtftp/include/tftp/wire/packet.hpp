#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/wire/option_list.hpp>
#include <tftp/wire/options.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

namespace tftp {

/// RFC 1350 s.5, RFC 2347.
enum class opcode : std::uint16_t { rrq = 1, wrq = 2, data = 3, ack = 4, error = 5, oack = 6 };

/// Transfer modes that are served. `mail` is refused: RFC 1123 4.2.2.1.
enum class transfer_mode : std::uint8_t { octet, netascii };

/// Bytes before the payload of DATA, and the size of an ACK.
inline constexpr std::size_t header_size = 4;

/// The largest request this library sends, in bytes: RFC 2347.
inline constexpr std::size_t request_size_max = 512;

/// Returns "octet" or "netascii".
[[nodiscard]] constexpr std::string_view to_string(transfer_mode mode) noexcept {
    return mode == transfer_mode::octet ? "octet" : "netascii";
}

/// RRQ or WRQ. `filename` is as the peer sent it: escape before logging, check before use.
struct request_view {
    opcode op = opcode::rrq;
    transfer_mode mode = transfer_mode::octet;
    std::string_view filename;
    option_list options;
};

/// DATA: `block` is the wire number.
struct data_view {
    std::uint16_t block = 0;
    bytes_view payload;
};

/// ACK: `block` is the wire number.
struct ack_view {
    std::uint16_t block = 0;
    /// What follows the four bytes of RFC 1350. Usually empty; the Windows loader appends the size
    /// of its next window. May be anything.
    bytes_view extra;
};

/// `code` may be any 16-bit value; `message` is the peer's text: escape before logging.
struct error_view {
    peer_errc code = peer_errc::undefined;
    std::string_view message;
};

/// OACK: the options as the server answered them.
struct oack_view {
    option_list options;
};

using packet_view = std::variant<request_view, data_view, ack_view, error_view, oack_view>;

/// Decodes one datagram.
///
/// Lenient where the field needs it: bytes may follow the four of an ACK (WDS), an ERROR may lack
/// its text or the NUL behind it, the end of the datagram may stand for the NUL of a mode, a
/// trailing fragment of an option is dropped, a mode is of any letter case. Errors:
/// `errc::malformed`, `errc::unknown_opcode`, `errc::unsupported_mode`. Lifetime: the views borrow
/// `datagram`. RFC 1350 s.5, RFC 2347.
[[nodiscard]] result<packet_view> decode(bytes_view datagram) noexcept;

/// Writes the header of DATA `block` (wire number). RFC 1350 s.5.
constexpr void
encode_data_header(std::span<std::byte, header_size> out, std::uint16_t block) noexcept {
    out[0] = std::byte{0};
    out[1] = static_cast<std::byte>(opcode::data);
    out[2] = static_cast<std::byte>(block >> 8);
    out[3] = static_cast<std::byte>(block & 0xff);
}

/// Returns the ACK of `block` (wire number). RFC 1350 s.5.
[[nodiscard]] constexpr std::array<std::byte, header_size> encode_ack(std::uint16_t block
) noexcept {
    return {
        std::byte{0},
        static_cast<std::byte>(opcode::ack),
        static_cast<std::byte>(block >> 8),
        static_cast<std::byte>(block & 0xff)};
}

/// Writes an ERROR packet and returns its size; `message` is cut to what fits, and at a NUL.
///
/// out: at least 5 bytes, else `errc::too_long`. RFC 1350 s.5.
[[nodiscard]] result<std::size_t>
encode_error(peer_errc code, std::string_view message, bytes_span out) noexcept;

/// Writes an RRQ or WRQ with the options of `offered` and returns its size.
///
/// Option order: blksize, windowsize, timeout, tsize. op: RRQ or WRQ. Errors: `errc::too_long` when
/// it does not fit `out` or `request_size_max`; `errc::bad_name` when `filename` is empty or holds
/// a NUL. RFC 1350 s.5, RFC 2347.
[[nodiscard]] result<std::size_t> encode_request(
    opcode op, std::string_view filename, transfer_mode mode, const offer& offered, bytes_span out
) noexcept;

/// Writes the OACK that `answered` asks for and returns its size: exactly the accepted options, in
/// the order and with the option names the client used, and not one byte more.
///
/// Precondition: `answered.needs_oack()`. Errors: `errc::too_long` when it does not fit `out`; 128
/// bytes are always enough. RFC 2347.
[[nodiscard]] result<std::size_t> encode_oack(const answer& answered, bytes_span out) noexcept;

} // namespace tftp
