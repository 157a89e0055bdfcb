#include <tftp/transfer/receive_window.hpp>

#include <algorithm>

namespace tftp {

namespace {

/// The kernel charges a datagram the memory it occupies: the next power of two, or a page, and a
/// descriptor. Twice its size and this on top covers what was measured on loopback and what
/// network drivers are known to do; the kernel itself doubles what it is asked for.
constexpr std::size_t bookkeeping = 1024;

} // namespace

std::size_t receive_buffer_for(const parameters& agreed) noexcept {
    return std::size_t{agreed.windowsize} * (agreed.blksize + bookkeeping);
}

std::uint16_t window_that_fits(const datagram_socket& port, std::uint16_t blksize) noexcept {
    const std::size_t granted = port.receive_buffer();
    const std::size_t charge = 2 * (blksize + bookkeeping);
    return static_cast<std::uint16_t>(
        granted == 0 ? windowsize_max : std::clamp<std::size_t>(granted / charge, 1, windowsize_max)
    );
}

} // namespace tftp
