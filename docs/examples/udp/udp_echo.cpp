// Shows: a UDP server that answers: the echo service of RFC 862. One socket serves everybody; the
// answer goes to the address that came with the datagram, and the server remembers nobody.
//
// Run:     udp_echo 127.0.0.1:9007
//          nc -u 127.0.0.1 9007    in another terminal: type lines
// Observe: a line for each datagram; each comes back as it went. Ctrl-C prints the totals.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iostream>

namespace {

using example::check;
using example::socket_address;
using tftp::to_string;

int echo(const example::arguments& given) {
    const socket_address here(given.address("ADDRESS"));
    const example::unique_fd socket(
        check(::socket(here.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")
    );
    check(::bind(socket.get(), here.data(), here.size()), "bind");
    example::stop_signal stop;
    stop.shuts_down(socket.get());
    std::cout << "serving on " << to_string(example::local_address(socket)) << std::endl;

    std::uint64_t datagrams = 0;
    std::uint64_t octets = 0;
    std::array<char, 65536> memory{};
    for (;;) {
        socket_address peer;
        ::socklen_t size = socket_address::capacity;
        const ::ssize_t came =
            ::recvfrom(socket.get(), memory.data(), memory.size(), 0, peer.data(), &size);
        if (stop.asked()) {
            break;
        }
        const auto length = static_cast<std::size_t>(check(came, "recvfrom"));
        std::cout << to_string(peer.to_endpoint()) << ": " << length << " bytes";
        if (::sendto(socket.get(), memory.data(), length, 0, peer.data(), size) < 0) {
            // No reason to end: anybody can send from an address that cannot be answered, such as
            // port 0, and the other peers are still there.
            std::cout << ", not returned: " << std::strerror(errno) << std::endl;
            continue;
        }
        std::cout << " returned" << std::endl;
        ++datagrams;
        octets += length;
    }
    std::cout << datagrams << " datagrams, " << octets << " bytes" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Returns each UDP datagram to its sender.",
        {{"ADDRESS", "where to serve, with a port or without", "127.0.0.1:0"}},
        echo
    );
}
