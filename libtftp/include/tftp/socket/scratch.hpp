#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// What one receive call brought: one datagram, or several of one sender that the kernel coalesced
/// (UDP_GRO). Every `segment` bytes are one datagram; the last may be shorter.
struct received {
    bytes_view bytes;
    /// Bytes of each datagram, >= 1; equal to bytes.size() for a single one (1 when it is empty).
    std::size_t segment = 1;
    endpoint from;
    /// The address the sender used; `port` is 0. Family `none` when the socket does not report it.
    endpoint to;
    /// True when `to` is a broadcast or multicast address; false when it is not reported.
    bool to_group = false;
    /// How long it had waited in the port when it was taken, by a clock that may be set; >= 0. 0
    /// when the port does not tell.
    duration waited{};

    /// Calls `f(bytes_view)` for each datagram in order; an empty datagram counts as one.
    template <class Function>
    void for_each_datagram(Function&& f) const {
        bytes_view rest = bytes;
        do {
            const std::size_t size = rest.size() < segment ? rest.size() : segment;
            f(rest.first(size));
            rest = rest.subspan(size);
        } while (!rest.empty());
    }
};

/// The working memory of one thread: a transmit arena and a receive ring. Transfers hold no
/// buffers; what they put here is valid only until control returns to the thread's loop.
///
/// Pages are touched on first use, so an idle thread costs little. Not thread-safe.
class scratch {
public:
    /// Messages one receive call may take.
    static constexpr std::size_t receive_slots = 32;
    /// Bytes of one message: the largest UDP payload, or one coalesced run.
    static constexpr std::size_t slot_size = 65536;
    /// Bytes of the arena: the largest run that one segmented send takes, header room included.
    static constexpr std::size_t arena_size = 65536;
    /// Segments one segmented send takes (the kernel's UDP_MAX_SEGMENTS of older releases).
    static constexpr std::size_t segments_max = 64;

    /// Allocates the slots and the arena; throws std::bad_alloc.
    scratch();

    /// Returns the arena in which a run of DATA is put together.
    [[nodiscard]] bytes_span arena() noexcept { return {arena_.get(), arena_size}; }

    /// Returns the memory of receive slot `index`, < receive_slots.
    [[nodiscard]] bytes_span slot(std::size_t index) noexcept {
        return {ring_.get() + index * slot_size, slot_size};
    }

    /// Returns room for the descriptions of received messages.
    [[nodiscard]] std::span<received, receive_slots> messages() noexcept { return messages_; }

    /// Returns gaps for positional reads, payloads for gathered writes, or headers and payloads in
    /// turn for gathered sends.
    [[nodiscard]] std::span<::iovec, 2 * segments_max> vectors() noexcept { return vectors_; }

private:
    std::unique_ptr<std::byte[]> arena_;
    std::unique_ptr<std::byte[]> ring_;
    std::array<received, receive_slots> messages_{};
    std::array<::iovec, 2 * segments_max> vectors_{};
};

} // namespace tftp
