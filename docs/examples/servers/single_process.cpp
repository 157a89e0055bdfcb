// Shows: the simplest server there is: take a client, serve it to its end, take the next. The code
// reads like the protocol, and everybody but one waits.
//
// Run:     single_process --service tftp --root DIRECTORY --listen 127.0.0.1:6969
//          two downloads at the same time, of which one is slow
// Observe: the second client gets its first octet when the first one has its last. One that says
//          nothing holds up all others: for TFTP until it is given up, for echo for ever.
//
// See docs/examples/README.md.

#include "common/served_transfer.hpp"

#include <iostream>
#include <memory>

#include <sys/socket.h>

namespace {

void serve_echo(const example::unique_fd& listener, example::stop_signal& stop) {
    while (!stop.asked()) {
        const example::unique_fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client) {
            example::echo_to_end(client, stop);
            std::cout << "one client served" << std::endl;
        }
    }
}

void serve_tftp(
    const example::unique_fd& listener,
    const tftp::endpoint& where,
    tftp::content_provider& files,
    example::stop_signal& stop
) {
    while (!stop.asked()) {
        if (const auto request = example::next_request(listener)) {
            example::served_transfer served(*request, where, files);
            example::run_to_end(served, stop);
            std::cout << served.report() << std::endl;
        }
    }
}

int run(const example::arguments& given) {
    return example::serve_each(given, serve_echo, serve_tftp);
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves one client after the other.", example::server_arguments, run
    );
}
