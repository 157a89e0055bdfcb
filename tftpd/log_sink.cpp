#include "log_sink.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace tftpd {

namespace {

/// Opens the terminal behind `fd` again, for writes that do not wait; none when it is no terminal,
/// or one of another user.
[[nodiscard]] tftp::unique_fd open_terminal(int fd) noexcept {
    if (::isatty(fd) != 1) {
        return {};
    }
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
    return tftp::unique_fd(::open(path.data(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

} // namespace

log_sink::log_sink(int fd) noexcept
    : terminal_(open_terminal(fd)), fd_(terminal_ ? terminal_.get() : fd) {}

void log_sink::redirect(int fd) {
    const std::lock_guard lock(mutex_);
    fd_ = fd;
    torn_ = false;
}

void log_sink::sink_it_(const spdlog::details::log_msg& message) {
    const bool written = tell_losses(message) && write(message);
    if (!written) {
        ++lost_;
    }
}

bool log_sink::tell_losses(const spdlog::details::log_msg& next) {
    if (lost_ == 0) {
        return true;
    }
    const std::string text =
        fmt::format("{} {} lost: the log took no more", lost_, lost_ == 1 ? "line" : "lines");
    spdlog::details::log_msg losses = next;
    losses.payload = text;
    if (!write(losses)) {
        return false;
    }
    lost_ = 0;
    return true;
}

bool log_sink::write(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    if (torn_) {
        line.push_back('\n');
    }
    formatter_->format(message, line);
    if (line.size() > PIPE_BUF) {
        line.resize(PIPE_BUF);
        line[PIPE_BUF - 1] = '\n';
    }
    return write_line({line.data(), line.size()});
}

bool log_sink::write_line(std::string_view line) noexcept {
    // A pipe that is ready has room for PIPE_BUF bytes, and takes them whole (pipe(7)).
    ::pollfd log{fd_, POLLOUT, 0};
    if (::poll(&log, 1, 0) != 1 || (log.revents & POLLOUT) == 0) {
        return false;
    }
    ssize_t written = -1;
    do {
        written = ::write(fd_, line.data(), line.size());
    } while (written < 0 && errno == EINTR);
    if (written <= 0) {
        return false;
    }
    // A disk that is full takes what it has room for.
    torn_ = written < static_cast<ssize_t>(line.size());
    return !torn_;
}

} // namespace tftpd
