#pragma once

#include <tftp/base/bytes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

namespace tftp::bench {

/// Largest payload of a UDP datagram over IPv4, and of a segmented send.
inline constexpr std::size_t datagram_size_max = 65507;

/// UDP_MAX_SEGMENTS of the kernels before 6.9.
inline constexpr std::size_t segments_max = 64;

/// Returns how many datagrams of `size` bytes one segmented send may hold, at least 1.
[[nodiscard]] constexpr std::size_t segments_of(std::size_t size) noexcept {
    const std::size_t fitting = datagram_size_max / size;
    return fitting == 0 ? 1 : (fitting < segments_max ? fitting : segments_max);
}

/// Buffers for received datagrams, used by one socket after the other.
class receive_ring {
public:
    receive_ring();
    receive_ring(const receive_ring&) = delete;
    receive_ring& operator=(const receive_ring&) = delete;

    /// One buffer, for calls that receive one datagram.
    [[nodiscard]] bytes_span single() noexcept { return {storage_.data(), slot_size}; }

    /// Receives what is there, up to a fixed number of messages. Returns their count, or -1 with
    /// errno set. flags: for recvmmsg(2).
    [[nodiscard]] int receive(int fd, int flags) noexcept;

    /// Calls `take(datagram)` for each datagram of message `index` of the last receive, in order,
    /// until it returns false.
    template <typename Take>
    void split(int index, Take&& take) const {
        const slot& from = slots_[std::size_t(index)];
        bytes_view rest{from.vector_base(), headers_[std::size_t(index)].msg_len};
        const std::size_t segment = segment_size(index);
        do {
            const std::size_t size = rest.size() < segment ? rest.size() : segment;
            if (!take(rest.first(size))) {
                return;
            }
            rest = rest.subspan(size);
        } while (!rest.empty());
    }

private:
    static constexpr std::size_t slot_size = 65536;
    static constexpr std::size_t slot_count = 16;

    struct slot {
        iovec vector{};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};

        [[nodiscard]] const std::byte* vector_base() const noexcept {
            return static_cast<const std::byte*>(vector.iov_base);
        }
    };

    /// Returns the size of the coalesced datagrams, or that of the whole message.
    [[nodiscard]] std::size_t segment_size(int index) const noexcept;

    std::vector<std::byte> storage_;
    std::array<slot, slot_count> slots_{};
    std::array<mmsghdr, slot_count> headers_{};
};

/// Lets the kernel hand over coalesced datagrams of `fd`. Throws std::system_error.
void enable_coalescing(int fd);

/// Makes both buffers of `fd` hold `datagrams` of `size` bytes with the kernel's own overhead.
/// Does not throw: a kernel that gives less loses packets, and the counters show that.
void size_buffers(int fd, std::size_t datagrams, std::size_t size) noexcept;

/// Sends `octets` as datagrams of `segment` octets, the last may be shorter, by one call. Returns
/// false with errno set.
[[nodiscard]] bool send_segmented(int fd, bytes_view octets, std::size_t segment) noexcept;

/// The same with bytes that stand in several places, of which sendmsg(2) only reads.
[[nodiscard]] bool
send_segmented(int fd, std::span<const iovec> parts, std::size_t segment) noexcept;

} // namespace tftp::bench
