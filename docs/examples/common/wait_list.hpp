#pragma once

#include "common/server.hpp"

#include <tftp/base/time.hpp>
#include <tftp/transfer/transfer.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <poll.h>

namespace example {

/// What a task waits for: a descriptor that is ready, or a time, whichever comes first.
struct wait_for {
    tftp::interest on;
    std::optional<tftp::time_point> until{};
};

/// Returns the wait for something to read.
[[nodiscard]] inline wait_for to_read(int fd) {
    return {{fd, true, false}};
}

/// Returns the wait for room to write.
[[nodiscard]] inline wait_for to_write(int fd) {
    return {{fd, false, true}};
}

/// Why a task goes on; neither when its time has come.
struct woken {
    bool readable = false;
    bool writable = false;
};

/// Tasks of a scheduler that wait, in one call of poll(2) for all.
template <class Task>
class wait_list {
public:
    void add(wait_for what, Task task) { entries_.push_back({what, std::move(task)}); }

    /// Waits until one can go on, and returns all that can; none when a signal came.
    [[nodiscard]] std::vector<std::pair<Task, woken>> wait() {
        std::vector<::pollfd> polled;
        std::optional<tftp::time_point> first;
        for (const entry& each : entries_) {
            const auto events = static_cast<short>(
                (each.what.on.read ? POLLIN : 0) | (each.what.on.write ? POLLOUT : 0)
            );
            // One that waits for time alone: poll skips negative descriptors.
            polled.push_back({events == 0 ? -1 : each.what.on.fd, events, 0});
            first = tftp::earlier(first, each.what.until);
        }
        std::vector<std::pair<Task, woken>> out;
        if (::poll(polled.data(), polled.size(), milliseconds_until(first)) < 0) {
            return out;
        }
        const tftp::time_point now = tftp::clock::now();
        std::vector<entry> rest;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            entry& each = entries_[i];
            const short ready = polled[i].revents;
            if (ready != 0 || (each.what.until && now >= *each.what.until)) {
                const woken how{(ready & ~POLLOUT) != 0, (ready & POLLOUT) != 0};
                out.emplace_back(std::move(each.task), how);
            } else {
                rest.push_back(std::move(each));
            }
        }
        entries_ = std::move(rest);
        return out;
    }

private:
    struct entry {
        wait_for what;
        Task task;
    };

    std::vector<entry> entries_;
};

} // namespace example
