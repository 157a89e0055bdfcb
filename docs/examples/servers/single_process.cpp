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
#include "common/server.hpp"

#include <iostream>
#include <memory>

#include <sys/socket.h>

namespace {

void serve_echo(const tftp::endpoint& where, example::stop_signal& stop) {
    const example::unique_fd listener = example::listen_tcp(where);
    stop.shuts_down(listener.get());
    example::announce(example::local_address(listener));
    while (!stop.asked()) {
        const example::unique_fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client) {
            example::echo_to_end(client, stop);
            std::cout << "one client served" << std::endl;
        }
    }
    stop.shuts_down(-1);
}

void serve_tftp(
    const tftp::endpoint& where, const std::string& directory, example::stop_signal& stop
) {
    const auto files = example::open_directory(directory);
    const example::unique_fd listener = example::listen_udp(where);
    stop.shuts_down(listener.get());
    example::announce(example::local_address(listener));
    while (!stop.asked()) {
        if (const auto request = example::next_request(listener)) {
            example::served_transfer served(*request, where, *files);
            example::run_to_end(served, stop);
            std::cout << served.report() << std::endl;
        }
    }
    stop.shuts_down(-1);
}

int run(const example::arguments& given) {
    example::stop_signal stop;
    const tftp::endpoint where = given.address("--listen");
    if (given.one_of("--service", {"echo", "tftp"}) == "echo") {
        serve_echo(where, stop);
    } else {
        serve_tftp(where, given.text("--root"), stop);
    }
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves one client after the other.", example::server_arguments, run
    );
}
