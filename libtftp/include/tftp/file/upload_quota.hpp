#pragma once

#include <tftp/base/error.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace tftp {

/// What the uploads to one directory share: how much they may store in all, and whose turn it is
/// to replace a file.
///
/// It counts what goes through it. What others add or remove beneath the directory is not seen.
/// Thread-safe.
class upload_quota {
public:
    /// limit_bytes: most bytes in all; 0 for no limit, and then nothing is counted. stored_bytes:
    /// what is there already.
    explicit upload_quota(std::uint64_t limit_bytes, std::uint64_t stored_bytes = 0) noexcept
        : limit_(limit_bytes), stored_(stored_bytes) {}

    /// Returns whether `size_bytes` more could be claimed now; claims nothing.
    [[nodiscard]] bool has_room(std::uint64_t size_bytes) const noexcept;

    /// Counts `size_bytes` more, or nothing when that is above the limit.
    ///
    /// Errors: EDQUOT of the system category.
    [[nodiscard]] error_code claim(std::uint64_t size_bytes) noexcept;

    /// Counts `size_bytes` less: an upload was given up, or a file removed.
    void release(std::uint64_t size_bytes) noexcept;

    /// Returns the bytes that are counted now, those of uploads under way included.
    [[nodiscard]] std::uint64_t stored() const noexcept {
        return stored_.load(std::memory_order_relaxed);
    }

    /// Waits for the turn to replace a file on `device` (st_dev); it lasts as long as the lock that
    /// is returned. Another device that stalls does not hold it up, as far as 16 can be told apart.
    [[nodiscard]] std::unique_lock<std::mutex> lock_replacement(std::uint64_t device) {
        return std::unique_lock(replacing_[device % replacing_.size()]);
    }

private:
    const std::uint64_t limit_;
    std::atomic<std::uint64_t> stored_;
    std::array<std::mutex, 16> replacing_;
};

/// Returns the sizes of all regular files beneath `directory` together, in bytes.
///
/// A file with several names counts once, links are not followed, and directories that this process
/// may not read are left out. directory: may be opened with O_PATH. May block. Errors: as the
/// system says.
[[nodiscard]] result<std::uint64_t> size_beneath(int directory) noexcept;

} // namespace tftp
