#pragma once

namespace example {

/// Ctrl-C, or SIGTERM: how every server here ends.
///
/// A program that waits in select, poll or epoll watches fd(), which becomes readable. One that
/// blocks in accept or recv names its sockets: the handler shuts them down, which ends the call
/// (accept fails, recv returns 0), and the program looks at asked(). A flag alone would not do: a
/// signal that comes between the look at the flag and the call would be lost.
///
/// One at a time in a process; children made by fork inherit it.
class stop_signal {
public:
    /// Catches both signals. Throws std::system_error.
    stop_signal();
    /// Gives them back to the system.
    ~stop_signal();
    stop_signal(const stop_signal&) = delete;
    stop_signal& operator=(const stop_signal&) = delete;

    /// Returns whether a signal came.
    [[nodiscard]] bool asked() const noexcept;

    /// Returns a descriptor that is readable from the signal on; never read it.
    [[nodiscard]] int fd() const noexcept;

    /// Has the signal shut `socket` down: at once, when it has come before. -1: none any more.
    /// place: 0 to 3, one for each socket that the program blocks in.
    void shuts_down(int socket, int place = 0) noexcept;
};

} // namespace example
