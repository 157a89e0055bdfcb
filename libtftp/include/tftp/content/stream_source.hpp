#pragma once

#include <tftp/content/content.hpp>
#include <tftp/content/source.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// A source that is read once and in order, as a pipe or what a program makes up. Keeps one window
/// of what was sent and is not acknowledged, see `keep_window`, and no more.
///
/// Reading may block: a server reads it in its pool, the blocking client where it stands. A read
/// before what is kept, or before keep_window(), fails with `errc::not_rewindable`.
class stream_source final : public source {
public:
    /// size_bytes: of the whole, when it is known.
    stream_source(stream_reader next, std::optional<std::uint64_t> size_bytes) noexcept;

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override { return size_; }

    /// Takes the memory. The most that was asked for counts.
    void keep_window(std::size_t bytes) noexcept override;
    /// Fills from what is kept; `errc::would_block` when that does not do.
    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

private:
    [[nodiscard]] error_code produce(std::uint64_t until) noexcept;
    [[nodiscard]] error_code check(std::uint64_t offset, std::size_t wanted) const noexcept;
    [[nodiscard]] read_outcome
    copy_out(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    stream_reader next_;
    std::optional<std::uint64_t> size_;
    /// Byte n stands at n modulo `capacity_`; those from `produced_` less that on are kept.
    std::unique_ptr<std::byte[]> ring_;
    std::size_t capacity_ = 0;
    std::uint64_t produced_ = 0;
    bool ended_ = false;
};

} // namespace tftp
