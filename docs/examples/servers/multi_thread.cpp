// Shows: a thread for each client. The code is that of single_process once more; threads share the
// memory of the server, so starting one is cheaper than a fork, and what one does wrong harms all.
// Each has a stack (8 MiB of addresses, of which it touches what it needs), and the kernel has to
// switch between them.
//
// Run:     multi_thread --service tftp --root DIRECTORY --listen 127.0.0.1:6969
//          many_clients 127.0.0.1:6969 --service tftp --file FILE --connections 100
// Observe: ls /proc/$(pidof multi_thread)/task counts the clients that are served now.
//
// See docs/examples/README.md.

#include "common/served_transfer.hpp"

#include <atomic>
#include <functional>
#include <iostream>
#include <list>
#include <memory>
#include <thread>
#include <utility>

#include <sys/socket.h>

namespace {

/// Threads that serve a client each. All are joined at the end: none outlives what it uses.
class workers {
public:
    void start(std::function<void()> work) {
        join_ended();
        ++started_;
        running_.emplace_back();
        worker& added = running_.back();
        added.thread = std::thread([&added, work = std::move(work)] {
            try {
                work();
            } catch (const std::exception& failed) {
                // Nobody above would catch it, and the whole server would end.
                std::cerr << failed.what() << std::endl;
            }
            added.ended = true;
        });
    }

    ~workers() {
        for (worker& each : running_) {
            each.thread.join();
        }
        std::cout << started_ << " threads" << std::endl;
    }

    workers() = default;
    workers(const workers&) = delete;
    workers& operator=(const workers&) = delete;

private:
    struct worker {
        std::thread thread;
        std::atomic<bool> ended{false};
    };

    void join_ended() {
        running_.remove_if([](worker& each) {
            if (!each.ended) {
                return false;
            }
            each.thread.join();
            return true;
        });
    }

    /// A list: a thread knows its own place.
    std::list<worker> running_;
    unsigned started_ = 0;
};

void serve_echo(const example::unique_fd& listener, example::stop_signal& stop) {
    workers all;
    while (!stop.asked()) {
        auto client = std::make_shared<example::unique_fd>(
            ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)
        );
        if (*client) {
            all.start([client, &stop] { example::echo_to_end(*client, stop); });
        }
    }
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    example::stop_signal& stop
) {
    workers all;
    while (!stop.asked()) {
        if (const auto request = example::next_request(listener)) {
            all.start([request, where, &files, &stop] {
                example::served_transfer served(*request, where, files);
                example::run_to_end(served, stop);
            });
        }
    }
}

int run(const example::arguments& given) {
    return example::serve_each(given, serve_echo, serve_tftp);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves each client in a thread of its own.", example::server_arguments, run
    );
}
