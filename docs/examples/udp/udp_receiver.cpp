// Shows: how a program receives over UDP. One socket hears everybody: each call returns one whole
// datagram, and who sent it. Nothing is accepted, and nothing has to be closed when a peer goes.
//
// Run:     udp_receiver 127.0.0.1:9000               in one terminal
//          udp_sender 127.0.0.1:9000 one two three   in others, several times
// Observe: a line for each datagram; every run of the sender has another port. Ctrl-C ends it.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"
#include "common/text.hpp"

#include <array>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string_view>

namespace {

using example::check;
using example::socket_address;
using tftp::to_string;

int receive(const example::arguments& given) {
    const socket_address here(given.address("ADDRESS"));
    const std::uint64_t count =
        given.given("--count")
            ? given.number("--count", 1, std::numeric_limits<std::uint64_t>::max())
            : std::numeric_limits<std::uint64_t>::max();

    const example::unique_fd socket(
        check(::socket(here.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")
    );
    // A sender may have any port, but a receiver must be found: it binds the one that senders know.
    check(::bind(socket.get(), here.data(), here.size()), "bind");
    example::stop_signal stop;
    stop.shuts_down(socket.get());
    std::cout << "serving on " << to_string(example::local_address(socket)) << std::endl;

    // Room for the largest datagram there is. What does not fit would be cut off, and lost.
    std::array<char, 65536> memory{};
    for (std::uint64_t i = 0; i < count; ++i) {
        socket_address from;
        ::socklen_t size = socket_address::capacity;
        const ::ssize_t octets =
            ::recvfrom(socket.get(), memory.data(), memory.size(), 0, from.data(), &size);
        if (stop.asked()) {
            break;
        }
        // Zero is no end here, as it is with TCP: a datagram may be empty.
        const std::string_view text(
            memory.data(), static_cast<std::size_t>(check(octets, "recvfrom"))
        );
        std::cout << to_string(from.to_endpoint()) << ": " << text.size()
                  << " bytes: " << example::printable(text) << std::endl;
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Prints each UDP datagram that arrives.",
        {{"ADDRESS", "where to receive, with a port or without", "127.0.0.1:0"},
         {"--count", "ends after so many datagrams", ""}},
        receive
    );
}
