#pragma once

#include "common/greenlet.hpp"
#include "common/stop.hpp"
#include "common/wait_list.hpp"

#include <tftp/base/time.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace example {

/// Runs functions that look as if they blocked: each has a greenlet, and whenever it would wait,
/// the hub goes on with another. As gevent does for Python; one thread, no locks.
///
/// spawn() may be called anywhere; sleep(), wait(), recv() and send_all() in spawned functions
/// only.
class hub {
public:
    /// Has `body` run when the hub comes to it. What it throws ends it alone, and is printed.
    void spawn(std::function<void()> body) {
        ready_.push_back(
            {std::make_unique<greenlet>([body = std::move(body)](greenlet&) {
                 try {
                     body();
                 } catch (const std::exception& failed) {
                     std::cerr << failed.what() << std::endl;
                 }
             }),
             {}}
        );
    }

    /// Runs until all functions have returned, or Ctrl-C came; what still waits is unwound then.
    void join_all(const stop_signal& stop) {
        waiting_.add(to_read(stop.fd()), {nullptr, {}});
        while (!stop.asked()) {
            // Those that start others add to the list.
            for (std::vector<task> now = std::exchange(ready_, {}); !now.empty();
                 now = std::exchange(ready_, {})) {
                for (task& each : now) {
                    go_on(std::move(each));
                }
            }
            if (waits_ == 0) {
                return;
            }
            for (auto& [each, how] : waiting_.wait()) {
                if (each.context) {
                    --waits_;
                    ready_.push_back({std::move(each.context), how});
                }
            }
        }
    }

    /// Waits, while others run.
    [[nodiscard]] woken wait(const wait_for& what) {
        wanted_ = what;
        current_->back();
        return how_;
    }

    /// Waits for that long.
    void sleep(tftp::duration how_long) {
        static_cast<void>(wait({{}, tftp::clock::now() + how_long}));
    }

    /// As recv(2), and waits until there is something.
    [[nodiscard]] ::ssize_t recv(int socket, void* buffer, std::size_t size) {
        static_cast<void>(wait(to_read(socket)));
        return ::recv(socket, buffer, size, MSG_DONTWAIT);
    }

    /// Sends all, and waits for room as often as it must. Returns false when the peer has gone.
    [[nodiscard]] bool send_all(int socket, const char* octets, std::size_t size) {
        while (size > 0) {
            static_cast<void>(wait(to_write(socket)));
            const ::ssize_t sent = ::send(socket, octets, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0) {
                return false;
            }
            octets += sent;
            size -= static_cast<std::size_t>(sent);
        }
        return true;
    }

private:
    struct task {
        std::unique_ptr<greenlet> context;
        woken how;
    };

    void go_on(task each) {
        how_ = each.how;
        current_ = each.context.get();
        current_->go_on();
        if (!each.context->ended()) {
            ++waits_;
            waiting_.add(wanted_, std::move(each));
        }
    }

    std::vector<task> ready_;
    wait_list<task> waiting_;
    std::size_t waits_ = 0;
    /// Of the one that runs: who, why it was woken, what it waits for next.
    greenlet* current_ = nullptr;
    woken how_;
    wait_for wanted_;
};

} // namespace example
