#pragma once

#include <cstdint>

namespace tftp {

/// What answers for a file system.
enum class storage : std::uint8_t {
    memory,
    /// A disk of this machine: cached content and names are at hand, writes go to the page cache.
    local,
    /// Another machine or process, or a file system that is not known here: anything may wait.
    remote,
};

/// Returns what the file system of an open file or directory is; `remote` when it cannot be told.
[[nodiscard]] storage storage_of(int fd) noexcept;

/// Returns true when each change of a file that was looked at in between leaves another time stamp,
/// however soon it comes, but on file systems with stamps of whole seconds. False also where that
/// is not known.
[[nodiscard]] bool has_fine_stamps(int fd) noexcept;

/// Returns the lane of `thread_pool` for everything on one device. device: as stat(2) has it.
[[nodiscard]] constexpr std::uint64_t lane_of(std::uint64_t device) noexcept {
    // 0 would be no lane, and small numbers are those of directories.
    return device | (std::uint64_t{1} << 63);
}

} // namespace tftp
