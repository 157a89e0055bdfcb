#include "stop.hpp"

#include "socket.hpp"

#include <array>
#include <atomic>
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

namespace example {

namespace {

// All that a handler may touch.
std::atomic<bool> came{false};
std::array<std::atomic<int>, 4> sockets{-1, -1, -1, -1};
std::array<int, 2> wake_pipe{-1, -1};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_stop(int) {
    const int before = errno;
    came = true;
    for (const auto& socket : sockets) {
        if (socket >= 0) {
            ::shutdown(socket, SHUT_RDWR);
        }
    }
    // A full pipe is readable anyway.
    [[maybe_unused]] const ::ssize_t written = ::write(wake_pipe[1], "", 1);
    errno = before;
}

void handle(void (*handler)(int)) {
    struct ::sigaction action {};

    action.sa_handler = handler;
    for (const int signal : {SIGINT, SIGTERM}) {
        check(::sigaction(signal, &action, nullptr), "sigaction");
    }
}

} // namespace

stop_signal::stop_signal() {
    check(::pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK), "pipe2");
    handle(on_stop);
}

stop_signal::~stop_signal() {
    handle(SIG_DFL);
    for (int& fd : wake_pipe) {
        ::close(fd);
        fd = -1;
    }
}

bool stop_signal::asked() const noexcept {
    return came;
}

int stop_signal::fd() const noexcept {
    return wake_pipe[0];
}

void stop_signal::shuts_down(int socket, int place) noexcept {
    sockets[static_cast<std::size_t>(place)] = socket;
    if (came && socket >= 0) {
        ::shutdown(socket, SHUT_RDWR);
    }
}

} // namespace example
