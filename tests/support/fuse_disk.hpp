#pragma once

#include <tftp/base/unique_fd.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>

struct fuse_in_header;

namespace tftp::test {

/// A file system that this process answers for (FUSE), with one file, and that can stop answering,
/// as a network disk does whose server is gone. Seen by this process and its children only.
class fuse_disk {
public:
    /// Name of its only file, which everybody may read.
    static constexpr std::string_view file_name = "file";

    /// Does nothing where one can be had; throws refused_here otherwise.
    static void try_here();

    /// Gives the calling thread, and all it starts later, mounts of their own: before anything that
    /// is to see the disk. Throws refused_here when the system does not allow it.
    static void prepare();

    /// Mounts it at `where`. Throws refused_here when the system does not allow it: that needs
    /// CAP_SYS_ADMIN and /dev/fuse.
    fuse_disk(const std::filesystem::path& where, std::string content);
    /// Unmounts it; who waits for it gets an error.
    ~fuse_disk();
    fuse_disk(const fuse_disk&) = delete;
    fuse_disk& operator=(const fuse_disk&) = delete;

    /// Takes no request from now on. (One that was taken and not answered could not even be
    /// killed.)
    void stall();
    /// Goes on, with what was asked meanwhile first.
    void recover();

    /// Takes `delay` for each read from now on, one after the other.
    void slow_down(std::chrono::milliseconds delay) { delay_ = delay; }

    /// Waits until the first read has begun. Returns false after `limit`.
    [[nodiscard]] bool wait_for_read(std::chrono::milliseconds limit) {
        return read_.try_acquire_for(limit);
    }

    /// Returns how many reads were begun.
    [[nodiscard]] std::uint64_t reads() const { return reads_; }

    /// Waits until somebody asks a stalled disk for something. Returns false after `limit`.
    [[nodiscard]] bool wait_for_request(std::chrono::milliseconds limit) const;

private:
    void serve();
    [[nodiscard]] bool serve_one(std::string& buffer);
    void answer(const fuse_in_header& request, const void* argument);
    void reply(const fuse_in_header& to, int error, const void* payload, std::size_t size) const;

    std::filesystem::path where_;
    std::string content_;
    unique_fd device_;
    /// Wakes the thread that serves, when `stalled_` was changed.
    unique_fd changed_;
    std::atomic<bool> stalled_ = false;
    std::atomic<std::chrono::milliseconds> delay_{};
    std::atomic<std::uint64_t> reads_ = 0;
    std::binary_semaphore parked_{0};
    /// Released once.
    std::binary_semaphore read_{0};
    std::thread thread_;
};

} // namespace tftp::test
