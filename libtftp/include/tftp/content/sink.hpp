#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/wire/netascii.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

namespace tftp {

/// Where the content of a transfer goes: a file, memory, or an embedding program.
///
/// Destroyed without a successful `commit` means discarded: nothing of it may stay behind. A
/// transfer gives its sink up with the commit, though it may have to repeat its last ACK. A sink is
/// used by one thread at a time, not always the same.
class sink {
public:
    sink() = default;
    sink(const sink&) = delete;
    sink& operator=(const sink&) = delete;
    virtual ~sink() = default;

    /// Returns the lane of `thread_pool` in which it works: sinks that stall together, as those
    /// on one disk, have the same.
    [[nodiscard]] virtual std::uint64_t lane() const noexcept { return 0; }

    /// Returns true when `reserve`, `write` and even its destruction may wait for another machine
    /// or process, as `commit` always may.
    [[nodiscard]] virtual bool remote() const noexcept { return false; }

    /// Learns the size announced by tsize, before the first write; called only when it is known.
    ///
    /// Errors end the transfer: `errc::too_large`, no space, others as the system says.
    [[nodiscard]] virtual error_code reserve(std::uint64_t size_bytes) noexcept = 0;

    /// Stores `payloads` in order from octet `offset` on. Calls come without gaps and in order,
    /// each octet once. Errors end the transfer.
    [[nodiscard]] virtual error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept = 0;

    /// Makes the content final and visible, whole; called once, after the last write (or none for
    /// empty content). May block. An error means that nothing became visible.
    [[nodiscard]] virtual error_code commit() noexcept = 0;
};

/// Collects the content in memory.
class memory_sink final : public sink {
public:
    /// limit_bytes: content beyond it ends the transfer with `errc::too_large`.
    explicit memory_sink(std::size_t limit_bytes) noexcept : limit_(limit_bytes) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

    /// Returns what came so far; all of it once `committed()`.
    [[nodiscard]] bytes_view content() const noexcept { return content_; }

    /// Returns true once the transfer ended well.
    [[nodiscard]] bool committed() const noexcept { return committed_; }

private:
    std::size_t limit_;
    std::vector<std::byte> content_;
    bool committed_ = false;
};

/// Collects small writes on their way to a file, whose cost is that of a system call and of each
/// page that is written in part: a block of 1468 bytes takes 1.2 us alone, 0.6 us so.
class buffered_sink final : public sink {
public:
    /// Writes to `into`, which must not be null, at most `capacity` bytes at a time and up to
    /// multiples of it.
    ///
    /// capacity: at least 1; what comes in larger pieces is passed on, and so is the first write,
    /// which finds out what stands in the way of all. The memory is taken at the second, from
    /// `budget` if there is one, which must outlive the sink; while half of that or more is taken,
    /// everything is passed on as it comes.
    buffered_sink(
        std::shared_ptr<sink> into, std::size_t capacity, memory_budget* budget = nullptr
    ) noexcept;

    [[nodiscard]] std::uint64_t lane() const noexcept override { return into_->lane(); }

    [[nodiscard]] bool remote() const noexcept override { return into_->remote(); }

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    /// An error may be that of an earlier write.
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

private:
    [[nodiscard]] bool take_memory() noexcept;
    [[nodiscard]] error_code collect(bytes_view octets) noexcept;
    [[nodiscard]] error_code flush() noexcept;

    std::shared_ptr<sink> into_;
    std::size_t capacity_;
    memory_budget* budget_;
    budget_share share_;
    std::unique_ptr<std::byte[]> octets_;
    bool begun_ = false;
    /// Where the collected bytes belong, and how many there are.
    std::uint64_t offset_ = 0;
    std::size_t used_ = 0;
};

/// Turns netascii back into local text on its way to another sink.
class netascii_sink final : public sink {
public:
    /// Writes the text to `text`, which must not be null.
    explicit netascii_sink(std::shared_ptr<sink> text) noexcept;

    [[nodiscard]] std::uint64_t lane() const noexcept override { return text_->lane(); }

    [[nodiscard]] bool remote() const noexcept override { return text_->remote(); }

    /// Ignored: the announced size is not that of the text.
    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

private:
    [[nodiscard]] error_code convert(bytes_view netascii) noexcept;

    std::shared_ptr<sink> text_;
    netascii_decoder decoder_;
    std::uint64_t text_offset_ = 0;
};

} // namespace tftp
