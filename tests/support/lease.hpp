#pragma once

#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace tftp::test {

/// A lease of a file, as a file server takes one for a client that may change the file in its own
/// memory: who opens the file has to wait until the holder lets it go.
///
/// The file belongs to this user, and nobody has it open.
class file_lease {
public:
    /// Blocks SIGIO, which the kernel sends when somebody opens the file: to be called before any
    /// thread is started.
    static void prepare() {
        const ::sigset_t broken = lease_broken();
        ::pthread_sigmask(SIG_BLOCK, &broken, nullptr);
    }

    explicit file_lease(const std::string& file) : fd_(::open(file.c_str(), O_RDWR | O_CLOEXEC)) {
        held_ = fd_ >= 0 && ::fcntl(fd_, F_SETLEASE, F_WRLCK) == 0;
    }

    ~file_lease() {
        if (holder_.joinable()) {
            holder_.join();
        }
        release();
        ::close(fd_);
    }

    file_lease(const file_lease&) = delete;
    file_lease& operator=(const file_lease&) = delete;

    /// Returns false where the file system knows no leases.
    [[nodiscard]] bool held() const noexcept { return held_; }

    /// Lets the file go when somebody opens it, as a good holder does; ends when nobody does.
    void release_when_asked() {
        holder_ = std::thread([this] {
            const ::timespec limit{30, 0};
            const ::sigset_t broken = lease_broken();
            if (::sigtimedwait(&broken, nullptr, &limit) == SIGIO) {
                release();
            }
        });
    }

    void release() const noexcept { ::fcntl(fd_, F_SETLEASE, F_UNLCK); }

private:
    [[nodiscard]] static ::sigset_t lease_broken() {
        ::sigset_t signals{};
        ::sigemptyset(&signals);
        ::sigaddset(&signals, SIGIO);
        return signals;
    }

    int fd_;
    bool held_ = false;
    std::thread holder_;
};

} // namespace tftp::test
