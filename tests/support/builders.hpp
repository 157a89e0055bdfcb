#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Datagrams written octet by octet, independent of the library's encoders.
namespace tftp::test {

using datagram = std::vector<std::byte>;

/// Option names and values in wire order.
using option_pairs = std::vector<std::pair<std::string, std::string>>;

/// The other side of the transfer, on its transfer port.
inline constexpr endpoint peer = endpoint::ipv4(192, 0, 2, 1, 2000);

/// The host of `peer` on the port where servers take requests.
inline constexpr endpoint server = peer.with_port(69);

/// Some other host.
inline constexpr endpoint stranger = endpoint::ipv4(192, 0, 2, 99, 3000);

inline void append_u16(datagram& out, std::uint16_t value) {
    out.push_back(static_cast<std::byte>(value >> 8));
    out.push_back(static_cast<std::byte>(value & 0xff));
}

/// Appends the text and a NUL.
inline void append_string(datagram& out, std::string_view text) {
    for (const char c : text) {
        out.push_back(static_cast<std::byte>(c));
    }
    out.push_back(std::byte{0});
}

inline void append_options(datagram& out, const option_pairs& options) {
    for (const auto& [name, value] : options) {
        append_string(out, name);
        append_string(out, value);
    }
}

/// DATA with `size` octets of payload, each the low octet of the block number.
[[nodiscard]] inline datagram data(std::uint16_t block, std::size_t size = 512) {
    datagram out;
    append_u16(out, 3);
    append_u16(out, block);
    for (std::size_t i = 0; i < size; ++i) {
        out.push_back(static_cast<std::byte>(block & 0xff));
    }
    return out;
}

[[nodiscard]] inline datagram ack(std::uint16_t block) {
    datagram out;
    append_u16(out, 4);
    append_u16(out, block);
    return out;
}

/// An ACK with the fifth octet that the Windows loader appends: the size of its next window.
[[nodiscard]] inline datagram ack_of_windows(std::uint16_t block, std::byte next_window) {
    datagram out = ack(block);
    out.push_back(next_window);
    return out;
}

[[nodiscard]] inline datagram error_packet(std::uint16_t code, std::string_view text = "text") {
    datagram out;
    append_u16(out, 5);
    append_u16(out, code);
    append_string(out, text);
    return out;
}

[[nodiscard]] inline datagram error_packet(peer_errc code, std::string_view text = "text") {
    return error_packet(static_cast<std::uint16_t>(code), text);
}

[[nodiscard]] inline datagram oack(const option_pairs& options) {
    datagram out;
    append_u16(out, 6);
    append_options(out, options);
    return out;
}

[[nodiscard]] inline datagram request(
    std::uint16_t op, std::string_view name, const option_pairs& options, std::string_view mode
) {
    datagram out;
    append_u16(out, op);
    append_string(out, name);
    append_string(out, mode);
    append_options(out, options);
    return out;
}

[[nodiscard]] inline datagram
rrq(std::string_view name, const option_pairs& options = {}, std::string_view mode = "octet") {
    return request(1, name, options, mode);
}

[[nodiscard]] inline datagram
wrq(std::string_view name, const option_pairs& options = {}, std::string_view mode = "octet") {
    return request(2, name, options, mode);
}

} // namespace tftp::test
