#pragma once

#include <tftp/io/content_map.hpp>
#include <tftp/io/file_identity.hpp>
#include <tftp/io/source.hpp>
#include <tftp/io/unique_fd.hpp>
#include <tftp/wire/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/types.h>
#include <sys/uio.h>

namespace tftp::io {

/// A regular file that was opened for reading, with the size it had then. Several transfers may
/// share one; all reads are positional.
///
/// The size is a promise: octets beyond it are never returned, and a file that has become shorter
/// is an error, never an early end. Thread-safe, but for map(): nothing else changes after
/// construction.
class opened_file {
public:
    /// Takes over a descriptor opened for reading and fixes the size.
    ///
    /// Errors: `errc::not_regular`; others as fstat(2) says. The descriptor is closed then.
    [[nodiscard]] static result<std::shared_ptr<const opened_file>> adopt(unique_fd fd) noexcept;

    /// Returns the size at the time of opening, in octets.
    [[nodiscard]] std::uint64_t size() const noexcept { return identity_.size_bytes; }

    /// Returns which file this is, in the state found at opening.
    [[nodiscard]] const file_identity& identity() const noexcept { return identity_; }

    /// Returns a number no other opened file of this process has or had.
    [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

    /// Returns the permission bits at the time of opening.
    [[nodiscard]] ::mode_t permissions() const noexcept { return permissions_; }

    /// Returns true when another machine or process answers for the file: even close(2) may wait.
    [[nodiscard]] bool remote() const noexcept { return remote_; }

    /// Returns true when the file has become shorter since.
    [[nodiscard]] bool shrank() const noexcept;

    /// Returns where the content stands in memory. Only for the thread that shares the file with
    /// other transfers; nothing is seen there of a file that is remote().
    [[nodiscard]] content_map& map() const noexcept { return map_; }

    /// Returns the descriptor; it stays owned by this object.
    [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }

    /// Fills `gaps` from octet `offset` on with what the page cache holds; as `source::try_read`.
    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    /// Fills `gaps` from octet `offset` on, waiting for the disk; as `source::read`.
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept;

    /// Reads at most `into.size()` octets from `offset` on in one system call that does not block.
    ///
    /// Returns how many came, fewer when the rest is not in the page cache; 0 at or after the
    /// promised size. Errors as `try_read`.
    [[nodiscard]] result<std::size_t>
    try_read_some(std::uint64_t offset, bytes_span into) const noexcept;

private:
    opened_file(unique_fd fd, const file_identity& identity, ::mode_t permissions) noexcept;

    [[nodiscard]] result<read_outcome>
    read_with(std::uint64_t offset, std::span<const ::iovec> gaps, int flags) const noexcept;

    unique_fd fd_;
    file_identity identity_;
    std::uint64_t serial_ = 0;
    ::mode_t permissions_;
    bool in_memory_ = false;
    bool remote_ = false;
    mutable content_map map_;
};

} // namespace tftp::io
