// Shows: echo and TFTP in gevent's way. The function of a client is that of single_process, word
// for word; only recv and send are those of the hub, and so all clients are served at once.
//
// Run:     gevent_server --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000
// Observe: compare the code of echo() with servers/single_process.cpp and coroutines/
//          generator_server.cpp; compare the memory: each client has a stack.
//
// See docs/examples/README.md.

#include "common/gevent.hpp"
#include "common/served_transfer.hpp"

#include <array>
#include <iostream>
#include <memory>

#include <sys/socket.h>

namespace {

void echo(example::hub& hub, const example::unique_fd& client) {
    std::array<char, 4096> buffer{};
    for (;;) {
        const ::ssize_t received = hub.recv(client.get(), buffer.data(), buffer.size());
        if (received <= 0 ||
            !hub.send_all(client.get(), buffer.data(), static_cast<std::size_t>(received))) {
            return;
        }
    }
}

void accept_all(example::hub& hub, const example::unique_fd& listener) {
    for (;;) {
        static_cast<void>(hub.wait(example::to_read(listener.get())));
        auto client = std::make_shared<example::unique_fd>(
            ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)
        );
        if (*client) {
            hub.spawn([&hub, client] { echo(hub, *client); });
        }
    }
}

void transfer(example::hub& hub, example::served_transfer& served) {
    while (!served.over()) {
        const example::woken how = hub.wait({served.wants(), served.deadline()});
        served.go_on(how.readable, how.writable);
    }
    std::cout << served.report() << std::endl;
}

void take_requests(
    example::hub& hub,
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files
) {
    for (;;) {
        static_cast<void>(hub.wait(example::to_read(listener.get())));
        if (const auto request = example::next_request(listener)) {
            auto served = std::make_shared<example::served_transfer>(*request, where, files);
            hub.spawn([&hub, served] { transfer(hub, *served); });
        }
    }
}

void serve_echo(const example::unique_fd& listener, const example::stop_signal& stop) {
    example::hub hub;
    hub.spawn([&] { accept_all(hub, listener); });
    hub.join_all(stop);
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    const example::stop_signal& stop
) {
    example::hub hub;
    hub.spawn([&] { take_requests(hub, listener, where, files); });
    hub.join_all(stop);
}

int run(const example::arguments& given) {
    return example::serve_each(given, serve_echo, serve_tftp);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by tasks that look as if they blocked.",
        example::server_arguments,
        run
    );
}
