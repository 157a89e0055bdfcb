#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/content/source.hpp>
#include <tftp/file/file_identity.hpp>
#include <tftp/file/file_mapping.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/types.h>
#include <sys/uio.h>

namespace tftp {

/// A regular file that was opened for reading, with the size it had then. Several transfers may
/// share one; all reads are positional.
///
/// The content it had then is a promise: size and time stamps are compared after each copy, and
/// what was copied while somebody wrote to the file is an error, never content. A writer that the
/// time stamps do not tell of, through a shared mapping whose pages are written back later, is not
/// seen. Thread-safe, but for map().
class opened_file {
public:
    /// How long `adopt` waits for a file to hold still, if that takes no longer than its file
    /// system needs to tell two changes apart.
    static constexpr auto settle_patience = std::chrono::seconds(1);

    /// Takes over a descriptor opened for reading and fixes the version that is served.
    ///
    /// A file that was changed a moment ago is waited for: 10 ms where the next change might leave
    /// the same time stamp, 2 s where stamps are whole seconds. may_wait: false for
    /// `errc::would_block` instead. Errors: `errc::not_regular`; `errc::source_changed` when it is
    /// written to all the time; others as fstat(2) says. The descriptor is closed then.
    [[nodiscard]] static result<std::shared_ptr<const opened_file>>
    adopt(unique_fd fd, bool may_wait = true) noexcept;

    /// Returns the size at the time of opening, in bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return identity_.size_bytes; }

    /// Returns which file this is, in the state found at opening.
    [[nodiscard]] const file_identity& identity() const noexcept { return identity_; }

    /// Returns a number no other opened file of this process has or had.
    [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

    /// Returns the permission bits at the time of opening.
    [[nodiscard]] ::mode_t permissions() const noexcept { return permissions_; }

    /// Returns true when another machine or process answers for the file: even close(2) may wait.
    [[nodiscard]] bool remote() const noexcept { return remote_; }

    /// Returns true when nothing was done to the file since it was opened, as far as is known: then
    /// its content may be taken from where it stands, if is_untouched() says so after the copy.
    [[nodiscard]] bool seems_untouched() const noexcept {
        return ctime_ns_.load(std::memory_order_relaxed) == identity_.ctime_ns;
    }

    /// Looks whether nothing was done to the file since it was opened. To be asked after a copy:
    /// what is cut off is cleared in the very pages that are being copied.
    [[nodiscard]] bool is_untouched() const noexcept;

    /// Returns where the content stands in memory. Only for the thread that shares the file with
    /// other transfers; nothing is seen there of a file that is remote().
    [[nodiscard]] file_mapping& map() const noexcept { return map_; }

    /// Returns the descriptor; it stays owned by this object.
    [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }

    /// Fills `gaps` from octet `offset` on with what the page cache holds; as `source::try_read`.
    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    /// Fills `gaps` from octet `offset` on, waiting for the disk; as `source::read`.
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    /// Reads at most `into.size()` bytes from `offset` on without blocking.
    ///
    /// Returns how many came, fewer when the rest is not in the page cache; 0 at or after the
    /// promised size. Errors as `try_read`.
    [[nodiscard]] result<std::size_t>
    try_read_some(std::uint64_t offset, bytes_span into) const noexcept;

private:
    /// What became of the file while something was copied from it.
    enum class fate : std::uint8_t {
        same,
        /// Its name, its owner or its permissions may have changed, its content has not.
        touched,
        changed,
        shorter,
    };

    opened_file(unique_fd fd, const file_identity& identity, ::mode_t permissions) noexcept;

    /// before: `ctime_ns_` before the copy.
    [[nodiscard]] fate fate_since(std::int64_t before) const noexcept;

    /// Takes note of why a read would wait; returns `errc::would_block`.
    [[nodiscard]] error_code would_block(const error_code& why) const noexcept;

    /// Has `copy`, which returns as transfer_all() does, copy until it can be trusted.
    template <class Copy>
    [[nodiscard]] result<std::size_t> copy_trusted(Copy&& copy) const noexcept;

    [[nodiscard]] result<read_outcome>
    read_with(std::uint64_t offset, std::span<const ::iovec> gaps, int flags) const noexcept;

    unique_fd fd_;
    file_identity identity_;
    std::uint64_t serial_ = 0;
    ::mode_t permissions_;
    bool in_memory_ = false;
    bool remote_ = false;
    /// Nothing can be had here without a wait: the file system does not know RWF_NOWAIT.
    mutable std::atomic<bool> always_waits_ = false;
    /// Of the last look at the file by any thread. Later than at opening when the file was renamed,
    /// removed or given other permissions, which does not end its transfers.
    mutable std::atomic<std::int64_t> ctime_ns_;
    mutable file_mapping map_;
};

} // namespace tftp
