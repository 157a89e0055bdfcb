#pragma once

#include <tftp/base/error.hpp>

#include <cstdint>
#include <mutex>

#include <sys/stat.h>

namespace tftp {

/// The right to write a file in place: nobody else in this process does it meanwhile, nor in
/// another one that asks as this does (flock(2)).
class in_place_turn {
public:
    in_place_turn() = default;
    in_place_turn(const in_place_turn&) = delete;
    in_place_turn& operator=(const in_place_turn&) = delete;
    /// Gives it back.
    ~in_place_turn();

    /// Waits for the right to write the file behind `fd`.
    ///
    /// fd: opened for writing; closing it gives the lock back. Errors: EBUSY when another process
    /// holds a lock for 10 s.
    [[nodiscard]] error_code take(int fd) noexcept;

private:
    std::unique_lock<std::mutex> own_;
};

/// Who opens a file makes one before, to learn whether this process wrote that file in place at any
/// moment since: what was found then may be half of each content. Never waits for a disk.
class in_place_watch {
public:
    in_place_watch() noexcept;

    /// device, inode: of the file, as stat(2) has them. May be true for another file, too, when
    /// many were written.
    [[nodiscard]] bool disturbed(std::uint64_t device, std::uint64_t inode) const noexcept;

private:
    std::uint64_t ended_before_;
};

/// Waits until this process does not write that file in place, for a second at most. Returns
/// whether it came to that.
[[nodiscard]] bool wait_until_written(std::uint64_t device, std::uint64_t inode) noexcept;

/// What became of the file that was to be written in place.
struct in_place_outcome {
    error_code failed;
    /// Some of the old content may be gone although it failed.
    bool touched = false;
};

/// Makes the content of `to` that of `from`, `size_bytes` long, without another file: owner, rights
/// and names of `to` stay.
///
/// Takes the blocks for it first, so that a full disk is found before the old content is touched,
/// as far as the file system can tell. Who reads `to` meanwhile sees old and new parts, see
/// in_place_watch. from: opened for reading, another file. May block.
[[nodiscard]] in_place_outcome write_in_place(int from, std::uint64_t size_bytes, int to) noexcept;

/// Copies `size_bytes` from `offset` on to the same place in another file.
[[nodiscard]] error_code
copy_content(int from, int to, std::uint64_t offset, std::uint64_t size_bytes) noexcept;

/// Returns whether two files of the same size, opened for reading, have the same content; false
/// when that cannot be read.
[[nodiscard]] bool is_same_content(int one, int other, std::uint64_t size_bytes) noexcept;

/// Returns why a file cannot become `size_bytes` long by write_in_place(), as far as that shows:
/// ENOSPC. file: may be opened with O_PATH. collected_bytes: what goes to the same disk before.
[[nodiscard]] error_code check_room_in_place(
    int file, const struct ::stat& about, std::uint64_t size_bytes, std::uint64_t collected_bytes
) noexcept;

/// Returns ENOSPC when the file system of `fd`, which may be opened with O_PATH, has less room.
[[nodiscard]] error_code check_room(int fd, std::uint64_t size_bytes) noexcept;

} // namespace tftp
