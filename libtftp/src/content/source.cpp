#include "base/iovec.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/content/source.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace tftp {

std::optional<std::uint64_t> memory_source::size() const noexcept {
    return content_.size();
}

result<read_outcome>
memory_source::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    bytes_view rest =
        content_.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(offset, content_.size()))
        );
    read_outcome outcome;
    for (const ::iovec& gap : gaps) {
        const std::size_t part = std::min(gap.iov_len, rest.size());
        if (part == 0) {
            continue;
        }
        std::memcpy(gap.iov_base, rest.data(), part);
        rest = rest.subspan(part);
        outcome.bytes += part;
    }
    outcome.end = rest.empty();
    return outcome;
}

result<read_outcome>
memory_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    return try_read(offset, gaps);
}

/// The converted octets [produced - kept, produced), in a ring: octet n stands at n modulo the
/// ring's size.
struct netascii_source::state {
    /// Text is read in pieces of this size, on the stack.
    static constexpr std::size_t piece = 4096;

    explicit state(std::size_t size) noexcept
        : ring(new (std::nothrow) std::byte[size]), capacity(size) {}

    /// Converts up to `wanted` more octets; fewer when the content ends.
    template <class Read>
    [[nodiscard]] error_code produce(std::uint64_t wanted, Read&& read_text) noexcept;

    /// Copies what is there from `offset` on into the gaps; returns how much.
    [[nodiscard]] std::size_t
    copy_out(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    std::unique_ptr<std::byte[]> ring;
    std::size_t capacity;
    netascii_encoder encoder;
    std::uint64_t text_offset = 0;
    std::uint64_t produced = 0;
    bool text_ended = false;
};

template <class Read>
error_code netascii_source::state::produce(std::uint64_t wanted, Read&& read_text) noexcept {
    while (wanted > 0 && (!text_ended || encoder.pending())) {
        const std::size_t at = static_cast<std::size_t>(produced % capacity);
        const std::size_t room =
            static_cast<std::size_t>(std::min<std::uint64_t>(wanted, capacity - at));
        // Each octet of text makes at least one of netascii: no more than `room` is of use.
        std::array<std::byte, piece> text{};
        std::size_t size = 0;
        bool last_piece = text_ended;
        if (!text_ended) {
            const ::iovec gap{text.data(), std::min(room, piece)};
            const result<read_outcome> got = read_text(text_offset, std::span(&gap, 1));
            if (!got) {
                return got.error();
            }
            size = got->bytes;
            last_piece = got->end;
            if (size == 0 && !last_piece) {
                // The source broke its promise to fill or to end.
                return errc::source_shrank;
            }
        }
        const netascii_progress step =
            encoder.encode(bytes_view(text.data(), size), bytes_span(ring.get() + at, room));
        text_offset += step.consumed;
        produced += step.produced;
        wanted -= step.produced;
        text_ended = last_piece && step.consumed == size;
    }
    return {};
}

std::size_t netascii_source::state::copy_out(std::uint64_t offset, std::span<const ::iovec> gaps)
    const noexcept {
    std::size_t copied = 0;
    for (const ::iovec& gap : gaps) {
        auto* to = static_cast<std::byte*>(gap.iov_base);
        std::size_t left =
            static_cast<std::size_t>(std::min<std::uint64_t>(gap.iov_len, produced - offset));
        while (left > 0) {
            const std::size_t at = static_cast<std::size_t>(offset % capacity);
            const std::size_t part = std::min(left, capacity - at);
            std::memcpy(to, ring.get() + at, part);
            to += part;
            offset += part;
            left -= part;
            copied += part;
        }
    }
    return copied;
}

netascii_source::netascii_source(
    std::shared_ptr<source> text, std::size_t window_octets, memory_budget* budget
) noexcept
    : text_(std::move(text)),
      window_octets_(std::max<std::size_t>(window_octets, 1)),
      budget_(budget) {
    // What did not fit is read again, up to a piece.
    text_->keep_window(state::piece);
}

netascii_source::~netascii_source() = default;

std::optional<std::uint64_t> netascii_source::size() const noexcept {
    return std::nullopt;
}

template <class Read>
result<read_outcome> netascii_source::convert(
    std::uint64_t offset, std::span<const ::iovec> gaps, Read&& read_text
) noexcept {
    if (!state_) {
        if (budget_ != nullptr) {
            share_ = budget_share(*budget_, window_octets_, budget_use::netascii);
            if (!share_.held()) {
                return make_error_code(errc::overloaded);
            }
        }
        state_.reset(new (std::nothrow) state(window_octets_));
        if (!state_ || !state_->ring) {
            state_.reset();
            return make_error_code(boost::system::errc::not_enough_memory);
        }
    }
    state& s = *state_;
    const std::size_t wanted = total_size(gaps);
    // Both hold for a sender that keeps within the window it was created for.
    TFTP_ASSERT(wanted <= s.capacity);
    TFTP_ASSERT(offset <= s.produced && s.produced - offset <= s.capacity);
    const std::uint64_t target = offset + wanted;
    if (target > s.produced) {
        const error_code failed = s.produce(target - s.produced, read_text);
        if (failed) {
            return failed;
        }
    }
    read_outcome outcome;
    outcome.bytes = s.copy_out(offset, gaps);
    outcome.end = s.text_ended && !s.encoder.pending() && offset + outcome.bytes == s.produced;
    return outcome;
}

result<read_outcome>
netascii_source::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    return convert(offset, gaps, [this](std::uint64_t at, std::span<const ::iovec> into) {
        return text_->try_read(at, into);
    });
}

result<read_outcome>
netascii_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    return convert(offset, gaps, [this](std::uint64_t at, std::span<const ::iovec> into) {
        return text_->read(at, into);
    });
}

} // namespace tftp
