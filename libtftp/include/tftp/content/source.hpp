#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/wire/netascii.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

namespace tftp {

class file_cache;

/// What one read brought. `end` is true when the content ends with these octets.
struct read_outcome {
    std::size_t bytes = 0;
    bool end = false;
};

/// A part of some content.
struct extent {
    std::uint64_t offset = 0;
    std::size_t size = 0;
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

    /// Returns the lane of `thread_pool` in which it reads: sources that stall together, as those
    /// on one disk, have the same.
    [[nodiscard]] virtual std::uint64_t lane() const noexcept { return 0; }

    /// Returns true when even its destruction may wait for another machine or process.
    [[nodiscard]] virtual bool remote() const noexcept { return false; }

    /// Learns how many bytes before the end of what was read may be asked for again: windowsize x
    /// blksize of the transfer, the largest that may be agreed. Called before the first read, and
    /// again when the content is sent anew without options.
    ///
    /// A source that cannot go back keeps that much; others have no use for it.
    virtual void keep_window(std::size_t bytes) noexcept { static_cast<void>(bytes); }

    /// Shares descriptors and memory with other sources of the calling thread, the one that calls
    /// `try_read`. Called at most once, before the first read.
    ///
    /// cache: outlives the source, or its `unshare()`. Returns what it has no use for any more, if
    /// anything; when remote(), the destruction of that may wait.
    [[nodiscard]] virtual std::shared_ptr<const void> share(file_cache& cache) noexcept {
        static_cast<void>(cache);
        return nullptr;
    }

    /// Takes back `share()`, in the same thread: the source may be destroyed in any thread then. It
    /// is not to be read by `try_read` any more.
    virtual void unshare() noexcept {}

    /// Fills `gaps` in order with the content from octet `offset` on, without blocking.
    ///
    /// Fills all of them unless the content ends. Errors: `errc::would_block` when the octets are
    /// not at hand now (call `read` where blocking is allowed); `errc::source_shrank` and
    /// `errc::source_changed` when they cannot be trusted; others as the system says: they end the
    /// transfer.
    [[nodiscard]] virtual result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept = 0;

    /// Returns what `read` had better fetch, where octets have to be waited for, in place of `size`
    /// octets from `offset` on: these and perhaps more around them.
    [[nodiscard]] virtual extent around(std::uint64_t offset, std::size_t size) const noexcept {
        return {offset, size};
    }

    /// Takes a look at what `read` has just brought from octet `offset` on, in the thread that
    /// calls `try_read`. Lifetime: the octets are borrowed.
    virtual void keep(std::uint64_t offset, bytes_view octets) noexcept {
        static_cast<void>(offset);
        static_cast<void>(octets);
    }

    /// Returns `size` octets, at least 1, from octet `offset` on where they stand in memory, for a
    /// send that takes them from there; empty when they have to be read.
    ///
    /// For system calls alone: a file that becomes shorter takes its octets away, and the program
    /// that touches them is killed; a system call fails with EFAULT. Lifetime: until unshare(), or
    /// the end of the source.
    [[nodiscard]] virtual bytes_view in_place(std::uint64_t offset, std::size_t size) noexcept {
        static_cast<void>(offset);
        static_cast<void>(size);
        return {};
    }

    /// Returns false when octets that were copied from where they stood may not be the content's:
    /// to be asked after the copy. They have to be read then, which tells what became of them.
    [[nodiscard]] virtual bool intact() const noexcept { return true; }

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
    /// windowsize x blksize of the transfer. The memory is taken at the first read, from `budget`
    /// if there is one, which must outlive the source: `errc::overloaded` says that none is left
    /// for `budget_use::netascii`.
    netascii_source(
        std::shared_ptr<source> text, std::size_t window_octets, memory_budget* budget = nullptr
    ) noexcept;
    ~netascii_source() override;

    [[nodiscard]] std::uint64_t lane() const noexcept override { return text_->lane(); }

    [[nodiscard]] bool remote() const noexcept override { return text_->remote(); }

    void unshare() noexcept override { text_->unshare(); }

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
    memory_budget* budget_;
    budget_share share_;
    std::unique_ptr<state> state_;
};

} // namespace tftp
