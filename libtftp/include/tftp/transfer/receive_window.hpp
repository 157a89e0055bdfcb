#pragma once

#include <tftp/socket/datagram_socket.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>

namespace tftp {

/// Returns the receive buffer that holds one window of `agreed`, in bytes.
[[nodiscard]] std::size_t receive_buffer_for(const parameters& agreed) noexcept;

/// Returns how many blocks of `blksize` bytes fit a receive buffer that `port` was granted: the
/// window worth asking for. At least 1, at most 32767.
[[nodiscard]] std::uint16_t
window_that_fits(const datagram_socket& port, std::uint16_t blksize) noexcept;

} // namespace tftp
