// Shows: echo and TFTP by generators. The function of a client yields what it waits for; a
// scheduler of twenty lines waits for all and resumes those that can go on.
//
// Run:     generator_server --service tftp --root DIRECTORY --listen 127.0.0.1:6969
//          many_clients 127.0.0.1:6969 --service tftp --file FILE --connections 100
// Observe: co_yield is the only place where a client waits, and every function that waits has to be
//          a generator itself: compare gevent_server.
//
// See docs/examples/README.md.

#include "common/generator.hpp"
#include "common/served_transfer.hpp"
#include "common/wait_list.hpp"

#include <array>
#include <cerrno>
#include <exception>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace {

using task = example::generator<example::wait_for>;

/// Ends the wait of the scheduler, which looks at the signal itself.
task wait_for_stop(int fd) {
    co_yield example::to_read(fd);
}

class scheduler {
public:
    /// Has `added` run to its first wait.
    void start(task added) { ready_.push_back(std::move(added)); }

    /// Returns why the task that runs was woken.
    [[nodiscard]] const example::woken& how() const noexcept { return how_; }

    void run(const example::stop_signal& stop) {
        start(wait_for_stop(stop.fd()));
        while (!stop.asked()) {
            while (!ready_.empty()) {
                task next = std::move(ready_.back());
                ready_.pop_back();
                go_on(std::move(next), {});
            }
            for (auto& [each, how] : waiting_.wait()) {
                go_on(std::move(each), how);
            }
        }
    }

private:
    void go_on(task each, const example::woken& how) {
        how_ = how;
        try {
            if (each.next()) {
                const example::wait_for wanted = each.value();
                waiting_.add(wanted, std::move(each));
            }
        } catch (const std::exception& failed) {
            std::cerr << failed.what() << std::endl;
        }
    }

    std::vector<task> ready_;
    example::wait_list<task> waiting_;
    example::woken how_;
};

task echo(example::unique_fd client) {
    std::array<char, 4096> buffer{};
    for (;;) {
        co_yield example::to_read(client.get());
        const ::ssize_t received = ::recv(client.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (received <= 0) {
            co_return;
        }
        for (::ssize_t sent = 0; sent < received;) {
            co_yield example::to_write(client.get());
            const auto left = static_cast<std::size_t>(received - sent);
            const ::ssize_t part =
                ::send(client.get(), buffer.data() + sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (part < 0) {
                co_return;
            }
            sent += part;
        }
    }
}

/// Coroutines take references only to what lives longer than they do.
task accept_all(scheduler& all, const example::unique_fd& listener) {
    for (;;) {
        co_yield example::to_read(listener.get());
        example::unique_fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client) {
            all.start(echo(std::move(client)));
        }
    }
}

task transfer(scheduler& all, std::unique_ptr<example::served_transfer> served) {
    while (!served->over()) {
        co_yield example::wait_for{served->wants(), served->deadline()};
        served->go_on(all.how().readable, all.how().writable);
    }
    std::cout << served->report() << std::endl;
}

task take_requests(
    scheduler& all,
    const example::unique_fd& listener,
    tftp::endpoint where,
    tftp::content_provider& files
) {
    for (;;) {
        co_yield example::to_read(listener.get());
        if (const auto request = example::next_request(listener)) {
            all.start(
                transfer(all, std::make_unique<example::served_transfer>(*request, where, files))
            );
        }
    }
}

void serve_echo(const example::unique_fd& listener, const example::stop_signal& stop) {
    scheduler all;
    all.start(accept_all(all, listener));
    all.run(stop);
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    const example::stop_signal& stop
) {
    scheduler all;
    all.start(take_requests(all, listener, where, files));
    all.run(stop);
}

int run(const example::arguments& given) {
    return example::serve_each(given, serve_echo, serve_tftp);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by generators.",
        example::server_arguments,
        run
    );
}
