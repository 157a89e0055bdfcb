// Shows: echo and TFTP by explicit switching. Each client has a greenlet; what it waits for it
// leaves in its place, and switches back to the loop, which knows when to switch there again.
// gevent_server is the same with the switches hidden in recv and send.
//
// Run:     greenlet_server --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000
// Observe: every go_on() in the loop meets a wait() in a client, and the other way round.
//
// See docs/examples/README.md.

#include "common/greenlet.hpp"
#include "common/served_transfer.hpp"
#include "common/wait_list.hpp"

#include <array>
#include <functional>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace {

/// One client, from its own side: a function that can wait.
struct client {
    explicit client(std::function<void(client&)> body)
        : context([this, body = std::move(body)](example::greenlet&) {
              try {
                  body(*this);
              } catch (const std::exception& failed) {
                  std::cerr << failed.what() << std::endl;
              }
          }) {}

    /// Switches to the loop until `what` has come.
    example::woken wait(const example::wait_for& what) {
        wanted = what;
        context.back();
        return how;
    }

    example::wait_for wanted;
    example::woken how;
    example::greenlet context;
};

class loop {
public:
    void start(std::function<void(client&)> body) {
        started_.push_back(std::make_unique<client>(std::move(body)));
    }

    void run(const example::stop_signal& stop) {
        waiting_.add(example::to_read(stop.fd()), nullptr);
        while (!stop.asked()) {
            for (auto& each : std::exchange(started_, {})) {
                go_on(std::move(each), {});
            }
            if (!started_.empty()) {
                continue;
            }
            for (auto& [each, how] : waiting_.wait()) {
                if (each) {
                    go_on(std::move(each), how);
                }
            }
        }
    }

private:
    void go_on(std::unique_ptr<client> each, const example::woken& how) {
        each->how = how;
        each->context.go_on();
        if (!each->context.ended()) {
            const example::wait_for wanted = each->wanted;
            waiting_.add(wanted, std::move(each));
        }
    }

    std::vector<std::unique_ptr<client>> started_;
    example::wait_list<std::unique_ptr<client>> waiting_;
};

void echo(client& self, const example::unique_fd& socket) {
    std::array<char, 4096> buffer{};
    for (;;) {
        self.wait(example::to_read(socket.get()));
        const ::ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (received <= 0) {
            return;
        }
        for (::ssize_t sent = 0; sent < received;) {
            self.wait(example::to_write(socket.get()));
            const auto left = static_cast<std::size_t>(received - sent);
            const ::ssize_t part =
                ::send(socket.get(), buffer.data() + sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (part < 0) {
                return;
            }
            sent += part;
        }
    }
}

void accept_all(client& self, loop& all, const example::unique_fd& listener) {
    for (;;) {
        self.wait(example::to_read(listener.get()));
        auto socket = std::make_shared<example::unique_fd>(
            ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)
        );
        if (*socket) {
            all.start([socket](client& added) { echo(added, *socket); });
        }
    }
}

void transfer(client& self, example::served_transfer& served) {
    while (!served.over()) {
        const example::woken how = self.wait({served.wants(), served.deadline()});
        served.go_on(how.readable, how.writable);
    }
    std::cout << served.report() << std::endl;
}

void take_requests(
    client& self,
    loop& all,
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files
) {
    for (;;) {
        self.wait(example::to_read(listener.get()));
        if (const auto request = example::next_request(listener)) {
            auto served = std::make_shared<example::served_transfer>(*request, where, files);
            all.start([served](client& added) { transfer(added, *served); });
        }
    }
}

void serve_echo(const example::unique_fd& listener, const example::stop_signal& stop) {
    loop all;
    all.start([&](client& self) { accept_all(self, all, listener); });
    all.run(stop);
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    const example::stop_signal& stop
) {
    loop all;
    all.start([&](client& self) { take_requests(self, all, listener, where, files); });
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
        "Serves many clients in one thread by switching between contexts.",
        example::server_arguments,
        run
    );
}
