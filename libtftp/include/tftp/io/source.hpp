#pragma once

#include <tftp/wire/bytes.hpp>
#include <tftp/wire/error.hpp>
#include <tftp/wire/netascii.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

namespace tftp::io {

/// What one read brought. `end` is true when the content ends with these octets.
struct read_outcome {
    std::size_t bytes = 0;
    bool end = false;
};

/// Where the content of a transfer comes from: a file, memory, or what an embedding program makes
/// up. Reads are positional, so a retransmission simply reads again; a transfer keeps no window.
///
/// A source is used by one thread at a time; `read` may run in another thread than `try_read`,
/// never at the same time. Offsets asked for are never before the oldest unacknowledged block.
class source {
public:
    source() = default;
    source(const source&) = delete;
    source& operator=(const source&) = delete;
    virtual ~source() = default;

    /// Returns the size of the content in octets; empty when it is not known in advance.
    [[nodiscard]] virtual std::optional<std::uint64_t> size() const noexcept = 0;

    /// Returns what sources of the same file have in common: at most one of them reads in the
    /// background at a time, so one stalled disk does not occupy every thread.
    [[nodiscard]] virtual const void* identity() const noexcept { return this; }

    /// Fills `gaps` in order with the content from octet `offset` on, without blocking.
    ///
    /// Fills all of them unless the content ends. Errors: `errc::would_block` when the octets are
    /// not at hand now (call `read` where blocking is allowed); `errc::source_shrank`; others as
    /// the system says: they end the transfer.
    [[nodiscard]] virtual result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept = 0;

    /// Like `try_read`, but waits for the octets; never `errc::would_block`.
    [[nodiscard]] virtual result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept = 0;
};

/// Serves octets in memory.
///
/// Lifetime: the octets are borrowed and must outlive the source.
class memory_source final : public source {
public:
    explicit memory_source(bytes_view content) noexcept : content_(content) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override;
    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

private:
    bytes_view content_;
};

/// Turns another source into netascii. Keeps the converted octets of one window, because offsets
/// of the two forms have no arithmetic relation; the only source with memory of its own.
class netascii_source final : public source {
public:
    /// window_octets: the least number of converted octets that can be read again; at least
    /// windowsize x blksize of the transfer. The memory is taken at the first read.
    netascii_source(std::shared_ptr<source> text, std::size_t window_octets) noexcept;
    ~netascii_source() override;

    [[nodiscard]] const void* identity() const noexcept override { return text_->identity(); }

    /// Empty: the converted size is not known before the end.
    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override;
    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

private:
    struct state;

    template <class Read>
    [[nodiscard]] result<read_outcome>
    convert(std::uint64_t offset, std::span<const ::iovec> gaps, Read&& read_text) noexcept;

    std::shared_ptr<source> text_;
    std::size_t window_octets_;
    std::unique_ptr<state> state_;
};

} // namespace tftp::io
