// Shows: a process for each client. fork(2) copies the server; the child serves its client as
// simply as single_process does and ends, the parent takes the next client. What one child does
// wrong harms no other; each costs a fork, memory of its own, and an entry of the process table.
//
// Run:     multi_process --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 100
//          ps --ppid $(pidof -s multi_process)
// Observe: a process for each connection while it lasts, and no zombie behind it.
//
// See docs/examples/README.md.

#include "common/served_transfer.hpp"

#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <set>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

/// Processes that serve a client each.
class children {
public:
    explicit children(example::stop_signal& stop) : stop_(stop) {}

    /// Runs `work` in a new process.
    void start(const std::function<void()>& work) {
        reap();
        const ::pid_t child = example::check(::fork(), "fork");
        if (child == 0) {
            // The listening socket is the same as the parent's: a signal to this process alone must
            // not shut it down.
            stop_.shuts_down(-1);
            // Nothing may leave this block: the frames above are the parent's.
            try {
                work();
            } catch (const std::exception& failed) {
                std::cerr << failed.what() << std::endl;
            }
            // No destructors: what they would give back is the parent's, too.
            ::_exit(0);
        }
        running_.insert(child);
    }

    /// Takes the exit status of those that have ended: until then each is a zombie.
    void reap() {
        for (::pid_t ended = 0; (ended = ::waitpid(-1, nullptr, WNOHANG)) > 0;) {
            running_.erase(ended);
            ++served_;
        }
    }

    /// Ends all that still serve.
    void stop() {
        reap();
        for (const ::pid_t child : running_) {
            ::kill(child, SIGTERM);
        }
        for (const ::pid_t child : running_) {
            ::waitpid(child, nullptr, 0);
        }
        std::cout << served_ << " processes ended by themselves, " << running_.size()
                  << " were ended" << std::endl;
    }

private:
    example::stop_signal& stop_;
    std::set<::pid_t> running_;
    unsigned served_ = 0;
};

/// Has the end of a child interrupt accept() and recvfrom(), so that it is reaped at once.
void wake_on_child() {
    struct ::sigaction action {};

    action.sa_handler = [](int) {};
    example::check(::sigaction(SIGCHLD, &action, nullptr), "sigaction");
}

void serve_echo(const example::unique_fd& listener, example::stop_signal& stop) {
    children all(stop);
    while (!stop.asked()) {
        const example::unique_fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client) {
            all.start([&] { example::echo_to_end(client, stop); });
        } else {
            all.reap();
        }
    }
    all.stop();
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    example::stop_signal& stop
) {
    children all(stop);
    while (!stop.asked()) {
        if (const auto request = example::next_request(listener)) {
            all.start([&] {
                example::served_transfer served(*request, where, files);
                example::run_to_end(served, stop);
            });
        } else {
            all.reap();
        }
    }
    all.stop();
}

int run(const example::arguments& given) {
    wake_on_child();
    return example::serve_each(given, serve_echo, serve_tftp);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves each client in a process of its own.", example::server_arguments, run
    );
}
