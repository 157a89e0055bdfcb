#include "file/in_place.hpp"

#include "base/iovec.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <new>
#include <thread>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace tftp {

namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10;

/// A copy of some gigabytes takes so long; a lock that is held for longer has another purpose.
constexpr auto lock_patience = std::chrono::seconds(10);
constexpr auto lock_interval = std::chrono::milliseconds(20);

/// Whoever opens a file that is being written waits no longer.
constexpr auto opening_patience = std::chrono::seconds(1);

/// Files are told apart as far as their numbers differ in the low bits: two that do not wait for
/// each other.
std::mutex& mutex_of(const struct ::stat& file) noexcept {
    static std::array<std::mutex, 64> all;
    return all[(file.st_ino ^ file.st_dev) % all.size()];
}

/// What is written in place now; a place in the table is taken for as long as that takes.
class writers {
public:
    struct file {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;

        friend bool operator==(const file&, const file&) = default;
    };

    static writers& all() noexcept {
        static writers table;
        return table;
    }

    void enter(const file& which) noexcept {
        std::unique_lock held(mutex_);
        changed_.wait(held, [this] { return used_ < files_.size(); });
        files_[used_++] = which;
        begun.fetch_add(1);
    }

    void leave(const file& which) noexcept {
        const std::lock_guard held(mutex_);
        const auto end = files_.begin() + static_cast<std::ptrdiff_t>(used_);
        *std::find(files_.begin(), end, which) = files_[--used_];
        last_[ended.load() % last_.size()] = which;
        ended.fetch_add(1);
        changed_.notify_all();
    }

    /// Returns whether it is written now, or was one of those that ended since `ended_before`.
    [[nodiscard]] bool touched(const file& which, std::uint64_t ended_before) noexcept {
        if (begun.load() == ended_before) {
            return false; // none at all, which is the rule
        }
        const std::lock_guard held(mutex_);
        if (is_written(which) || ended.load() - ended_before > last_.size()) {
            return true;
        }
        for (std::uint64_t i = ended_before; i < ended.load(); ++i) {
            if (last_[i % last_.size()] == which) {
                return true;
            }
        }
        return false;
    }

    [[nodiscard]] bool wait_for(const file& which) noexcept {
        std::unique_lock held(mutex_);
        return changed_.wait_for(held, opening_patience, [&] { return !is_written(which); });
    }

    std::atomic<std::uint64_t> begun = 0;
    std::atomic<std::uint64_t> ended = 0;

private:
    [[nodiscard]] bool is_written(const file& which) const noexcept {
        const auto end = files_.begin() + static_cast<std::ptrdiff_t>(used_);
        return std::find(files_.begin(), end, which) != end;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    /// More than any pool has threads; others wait.
    std::array<file, 64> files_{};
    std::size_t used_ = 0;
    /// Those that ended last, by their number.
    std::array<file, 64> last_{};
};

/// Enters a file for as long as this lives.
class entry {
public:
    explicit entry(const struct ::stat& about) noexcept : file_{about.st_dev, about.st_ino} {
        writers::all().enter(file_);
    }

    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    ~entry() { writers::all().leave(file_); }

private:
    writers::file file_;
};

/// Waits for a lock that is only advice. What cannot be locked is not locked.
error_code lock(int fd) noexcept {
    const auto end = std::chrono::steady_clock::now() + lock_patience;
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return {};
        }
        if (std::chrono::steady_clock::now() > end) {
            return system_error_code(EBUSY);
        }
        std::this_thread::sleep_for(lock_interval);
    }
    return {};
}

/// Returns true when a block that is written again takes a new place on the disk.
bool copies_on_write(int fd) noexcept {
    constexpr std::uint32_t bcachefs_magic = 0xca451a4e;
    constexpr std::uint32_t zfs_magic = 0x2fc12fc1;
    struct ::statfs about = {};
    if (::fstatfs(fd, &about) != 0) {
        return false;
    }
    const auto type = static_cast<std::uint32_t>(about.f_type);
    return type == BTRFS_SUPER_MAGIC || type == F2FS_SUPER_MAGIC || type == bcachefs_magic ||
           type == zfs_magic;
}

/// Takes the blocks for all of the new content, those of holes too.
error_code take_room(int to, const struct ::stat& about, std::uint64_t size_bytes) noexcept {
    if (size_bytes == 0) {
        return {};
    }
    if (const error_code full = check_room_in_place(to, about, size_bytes, 0)) {
        return full;
    }
    int outcome = 0;
    do {
        outcome = ::fallocate(to, FALLOC_FL_KEEP_SIZE, 0, static_cast<::off_t>(size_bytes));
    } while (outcome != 0 && errno == EINTR);
    if (outcome == 0) {
        return {};
    }
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: {
        const error_code full = last_error();
        // Gives back what it got before it found no more.
        [[maybe_unused]] const int cut = ::ftruncate(to, about.st_size);
        return full;
    }
    default: // not on this file system: it shows when the new end is written
        return {};
    }
}

} // namespace

in_place_turn::~in_place_turn() = default;

error_code in_place_turn::take(int fd) noexcept {
    struct ::stat about = {};
    if (::fstat(fd, &about) != 0) {
        return last_error();
    }
    own_ = std::unique_lock(mutex_of(about));
    return lock(fd);
}

in_place_watch::in_place_watch() noexcept : ended_before_(writers::all().ended.load()) {}

bool in_place_watch::disturbed(std::uint64_t device, std::uint64_t inode) const noexcept {
    return writers::all().touched({device, inode}, ended_before_);
}

bool wait_until_written(std::uint64_t device, std::uint64_t inode) noexcept {
    return writers::all().wait_for({device, inode});
}

error_code check_room(int fd, std::uint64_t size_bytes) noexcept {
    struct ::statvfs about = {};
    // Some file systems report no sizes at all.
    if (::fstatvfs(fd, &about) == 0 && about.f_blocks != 0 &&
        size_bytes / about.f_frsize >= about.f_bavail &&
        size_bytes > about.f_bavail * about.f_frsize) {
        return system_error_code(ENOSPC);
    }
    return {};
}

error_code check_room_in_place(
    int file, const struct ::stat& about, std::uint64_t size_bytes, std::uint64_t collected_bytes
) noexcept {
    constexpr std::uint64_t unit = 512; // of st_blocks
    const std::uint64_t has =
        copies_on_write(file) ? 0 : static_cast<std::uint64_t>(about.st_blocks) * unit;
    const std::uint64_t needs = collected_bytes + (size_bytes - std::min(size_bytes, has));
    return needs == 0 ? error_code() : check_room(file, needs);
}

error_code copy_content(int from, int to, std::uint64_t offset, std::uint64_t size_bytes) noexcept {
    const std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[piece_bytes]);
    if (!memory) {
        return system_error_code(ENOMEM);
    }
    while (size_bytes != 0) {
        const auto piece =
            static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes, piece_bytes));
        const ::iovec all{memory.get(), piece};
        const auto read = [&](const ::iovec* vectors, int count, std::uint64_t at) {
            return ::preadv(from, vectors, count, static_cast<::off_t>(at));
        };
        const auto write = [&](const ::iovec* vectors, int count, std::uint64_t at) {
            return ::pwritev(to, vectors, count, static_cast<::off_t>(at));
        };
        const result<std::size_t> got = transfer_all({&all, 1}, offset, piece, read);
        if (!got || *got < piece) {
            return got ? system_error_code(EIO) : got.error();
        }
        const result<std::size_t> put = transfer_all({&all, 1}, offset, piece, write);
        if (!put || *put < piece) {
            return put ? system_error_code(EIO) : put.error();
        }
        offset += piece;
        size_bytes -= piece;
    }
    return {};
}

bool is_same_content(int one, int other, std::uint64_t size_bytes) noexcept {
    const std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[2 * piece_bytes]);
    for (std::uint64_t offset = 0; memory && offset < size_bytes; offset += piece_bytes) {
        const auto piece =
            static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes - offset, piece_bytes));
        std::byte* const second = memory.get() + piece_bytes;
        if (::pread(one, memory.get(), piece, static_cast<::off_t>(offset)) !=
                static_cast<::ssize_t>(piece) ||
            ::pread(other, second, piece, static_cast<::off_t>(offset)) !=
                static_cast<::ssize_t>(piece) ||
            !std::equal(second, second + piece, memory.get())) {
            return false;
        }
    }
    return memory != nullptr;
}

in_place_outcome write_in_place(int from, std::uint64_t size_bytes, int to) noexcept {
    struct ::stat about = {};
    if (::fstat(to, &about) != 0) {
        return {last_error(), false};
    }
    const auto old_size = static_cast<std::uint64_t>(about.st_size);
    if (const error_code full = take_room(to, about, size_bytes)) {
        return {full, false};
    }
    const entry written(about);
    // What is new in length comes first: when it has no room, cutting it off leaves the old file.
    if (size_bytes > old_size) {
        if (const error_code failed = copy_content(from, to, old_size, size_bytes - old_size)) {
            return {failed, ::ftruncate(to, about.st_size) != 0};
        }
    }
    if (const error_code failed = copy_content(from, to, 0, std::min(size_bytes, old_size))) {
        return {failed, true};
    }
    if (size_bytes < old_size && ::ftruncate(to, static_cast<::off_t>(size_bytes)) != 0) {
        return {last_error(), true};
    }
    return {};
}

} // namespace tftp
