#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/stat.h>

namespace tftp {

/// Tells one state of one file from all others: a replaced, grown or rewritten file differs.
struct file_identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size_bytes = 0;
    /// Last change of the content and of the inode, in nanoseconds since the epoch.
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;

    [[nodiscard]] bool operator==(const file_identity&) const noexcept = default;
};

/// Returns which file `about`, as stat(2) has it, is of.
[[nodiscard]] file_identity identity_of(const struct ::stat& about) noexcept;

/// Hashes a file_identity, for the unordered containers.
struct file_identity_hash {
    [[nodiscard]] std::size_t operator()(const file_identity& identity) const noexcept;
};

} // namespace tftp
