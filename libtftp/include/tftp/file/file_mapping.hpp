#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/file/file_identity.hpp>
#include <tftp/file/freshness.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tftp {

/// Where the content of one file stands in memory, so that a send can take it from there: a copy
/// less than a read. Maps the file, but shows only what has been read without waiting for a disk
/// before, and not longer than `content_age_max` ago: the first pass over a file reads it, and so
/// does one now and then.
///
/// The bytes it shows are for system calls alone, which fail with EFAULT where the file has become
/// shorter; the program would be killed. A page that the kernel took back since is read again where
/// it is used, at the cost of whoever waits for that.
///
/// Each thread has its own, but a file is mapped once in a process: content_maps of the same
/// identity share the mapping, which goes with the last of them. Not thread-safe itself.
class file_mapping {
public:
    /// Larger files are not mapped: what the kernel needs for the mapping would count.
    static constexpr std::uint64_t size_max = std::uint64_t{1} << 30;
    /// Bytes that are seen, or not, as a whole.
    static constexpr std::uint64_t piece = 65536;

    /// Of the file with this identity, in the size that it has there.
    explicit file_mapping(const file_identity& identity) noexcept : identity_(identity) {}

    file_mapping(const file_mapping&) = delete;
    file_mapping& operator=(const file_mapping&) = delete;

    /// Tells that the bytes from `begin` to `end` were read just now: they are in memory.
    void on_read(std::uint64_t begin, std::uint64_t end) noexcept;

    /// Returns true when the piece with the octet at `offset` was read before.
    [[nodiscard]] bool knows(std::uint64_t offset) const noexcept { return seen(offset / piece); }

    /// Returns `size` bytes from `offset` on; empty when some of them were not read before, when
    /// the content ends before they do, or when the file cannot be mapped.
    ///
    /// fd: the file of that identity, opened for reading. size: at least 1. Lifetime: this
    /// object's.
    [[nodiscard]] bytes_view view(int fd, std::uint64_t offset, std::size_t size) noexcept;

    /// Returns how many bytes are mapped; unmapping them, which whoever lets go last does, takes
    /// up to 40 ns for each 4 KiB.
    [[nodiscard]] std::size_t mapped() const noexcept {
        return octets_ != nullptr ? static_cast<std::size_t>(identity_.size_bytes) : 0;
    }

private:
    [[nodiscard]] bool seen(std::uint64_t number) const noexcept {
        return seen_ != nullptr && (seen_[number / 64] >> (number % 64) & 1) != 0;
    }

    [[nodiscard]] std::size_t words() const noexcept {
        return static_cast<std::size_t>(identity_.size_bytes / piece / 64 + 1);
    }

    [[nodiscard]] bool map(int fd) noexcept;

    file_identity identity_;

    /// A bit for each piece.
    std::unique_ptr<std::uint64_t[]> seen_;
    /// Of the first of them.
    freshness age_;
    std::shared_ptr<const std::byte> octets_;
    bool refused_ = false;
};

} // namespace tftp
