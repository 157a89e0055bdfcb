// Shows: where a client's port comes from. A socket that is not bound has none until it sends: then
// the system gives it a free one, another one each time. A socket that binds has the port it named.
//
// Run:     udp_ports
//          udp_ports --port 4069
// Observe: before the first send the port is 0; after it, it is the one that the other side sees.
//          The next socket gets another one. The bound sockets have the same, one after the other.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <cstdint>
#include <iostream>

namespace {

using example::check;
using example::local_address;
using example::socket_address;
using example::unique_fd;
using tftp::to_string;

unique_fd udp_socket() {
    return unique_fd(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
}

void bind_to(const unique_fd& socket, std::uint16_t port) {
    const socket_address address(tftp::endpoint::ipv4(127, 0, 0, 1, port));
    check(::bind(socket.get(), address.data(), address.size()), "bind");
}

/// Sends an empty datagram from `socket` to `server`, and prints whom the server sees.
std::uint16_t greet(const unique_fd& socket, const unique_fd& server) {
    const socket_address to(local_address(server));
    check(::sendto(socket.get(), "", 0, 0, to.data(), to.size()), "sendto");
    socket_address from;
    ::socklen_t size = socket_address::capacity;
    check(::recvfrom(server.get(), nullptr, 0, 0, from.data(), &size), "recvfrom");
    // The address stays 0.0.0.0: only the way to the receiver decides from which one it leaves.
    std::cout << "sent from " << to_string(local_address(socket)) << ", the other side sees "
              << to_string(from.to_endpoint()) << '\n';
    return local_address(socket).port;
}

int show_ports(const example::arguments& given) {
    const auto times = given.number("--times", 1, 100);
    auto port = static_cast<std::uint16_t>(given.number("--port", 0, 65535));
    const unique_fd server = udp_socket();
    bind_to(server, 0);

    std::cout << "left to the system:\n";
    std::uint16_t last = 0;
    for (std::uint64_t i = 0; i < times; ++i) {
        const unique_fd client = udp_socket();
        std::cout << "  new: " << to_string(local_address(client)) << ", ";
        last = greet(client, server);
    }

    // The socket that had it is closed, so it is free again, unless another program was faster.
    port = port == 0 ? last : port;
    std::cout << "bound to " << port << ":\n";
    for (std::uint64_t i = 0; i < times; ++i) {
        const unique_fd client = udp_socket();
        bind_to(client, port);
        std::cout << "  new: " << to_string(local_address(client)) << ", ";
        greet(client, server);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Prints which ports the sockets of a client get.",
        {{"--port", "the port to bind; 0: the last that the system gave", "0"},
         {"--times", "sockets of each kind, one after the other", "2"}},
        show_ports
    );
}
