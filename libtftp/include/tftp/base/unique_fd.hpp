#pragma once

#include <utility>

#include <unistd.h>

namespace tftp {

/// Owns one file descriptor and closes it. Move-only.
class unique_fd {
public:
    /// Owns nothing.
    constexpr unique_fd() noexcept = default;

    /// Takes ownership of `fd`; a negative one means nothing.
    constexpr explicit unique_fd(int fd) noexcept : fd_(fd < 0 ? -1 : fd) {}

    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}

    unique_fd& operator=(unique_fd&& other) noexcept {
        reset(other.release());
        return *this;
    }

    ~unique_fd() { reset(); }

    /// Returns the descriptor, -1 when there is none; ownership stays here.
    [[nodiscard]] constexpr int get() const noexcept { return fd_; }

    /// Returns true when a descriptor is owned.
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Gives the descriptor away: the caller closes it.
    [[nodiscard]] constexpr int release() noexcept { return std::exchange(fd_, -1); }

    /// Closes what is owned and takes `fd` in its place.
    ///
    /// Precondition: `fd` is not the descriptor already owned.
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd < 0 ? -1 : fd);
        if (old >= 0) {
            // Linux frees the descriptor even when close reports an error: never call it again.
            ::close(old);
        }
    }

private:
    int fd_ = -1;
};

} // namespace tftp
