// Shows: TIME-WAIT. The side that closes first keeps the connection for two maximum segment
// lifetimes (2MSL; Linux takes 60 s, always): so that it can repeat its last ACK, and so that no
// late segment is taken for one of the next connection between the same ports (RFC 9293 s.3.4.3,
// 3.6.1). A server that is started again finds its port in use, unless it sets SO_REUSEADDR.
//
// Run:     time_wait
// Observe: the row of /proc/net/tcp: state 06, timer 03 and its time left in hundredths of a second
//          (hexadecimal). Linux asks for the option on both sockets, the old and the new one.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include <netinet/tcp.h>
#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;

using example::check;
using example::socket_address;
using example::unique_fd;

/// Who is in TIME-WAIT, as /proc/net/tcp says.
struct time_wait {
    unsigned local_port = 0;
    double seconds_left = 0;
    std::string row;
};

/// Looks for the connection between those two ports, whichever side it is.
bool find(unsigned one, unsigned other, time_wait& found) {
    std::ifstream table("/proc/net/tcp");
    for (std::string line; std::getline(table, line);) {
        unsigned local = 0;
        unsigned remote = 0;
        unsigned state = 0;
        unsigned left = 0;
        int end = 0;
        // "0: 0100007F:1F90 0100007F:B2F0 06 00000000:00000000 03:00001770 ...": all hexadecimal.
        const char* const form = "%*d: %*x:%x %*x:%x %x %*x:%*x %*x:%x%n";
        const int read = std::sscanf(line.c_str(), form, &local, &remote, &state, &left, &end);
        const bool same = (local == one && remote == other) || (local == other && remote == one);
        if (read == 4 && state == TCP_TIME_WAIT && same) {
            const auto begin = line.find(':') + 2;
            found.local_port = local;
            found.seconds_left = left / 100.0;
            found.row = line.substr(begin, static_cast<std::size_t>(end) - begin);
            return true;
        }
    }
    return false;
}

void allow_reuse(const unique_fd& socket, bool yes) {
    const int value = yes ? 1 : 0;
    const int set = ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &value, sizeof value);
    check(set, "SO_REUSEADDR");
}

/// Both sides of a connection that were closed one after the other.
struct closed_connection {
    tftp::endpoint server;
    tftp::endpoint client;
};

/// Closes `first`, lets `second` see the end, and closes that.
void close_in_order(unique_fd& first, unique_fd& second) {
    first.reset();
    char octet = 0;
    check(::recv(second.get(), &octet, 1, 0), "recv");
    second.reset();
}

closed_connection connect_and_close(bool server_first, bool reuse) {
    const unique_fd listener = example::open_socket(AF_INET, SOCK_STREAM);
    allow_reuse(listener, reuse); // what accept() returns has it then, and so has its TIME-WAIT
    const socket_address any(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    check(::bind(listener.get(), any.data(), any.size()), "bind");
    check(::listen(listener.get(), 1), "listen");
    const tftp::endpoint address = example::local_address(listener);

    unique_fd client = example::open_socket(AF_INET, SOCK_STREAM);
    const socket_address to(address);
    check(::connect(client.get(), to.data(), to.size()), "connect");
    unique_fd server(check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    const closed_connection closed{address, example::local_address(client)};
    if (server_first) {
        close_in_order(server, client);
    } else {
        close_in_order(client, server);
    }
    return closed;
}

std::string try_bind(const tftp::endpoint& where, bool reuse) {
    const socket_address address(where);
    const unique_fd socket = example::open_socket(AF_INET, SOCK_STREAM);
    allow_reuse(socket, reuse);
    const int bound = ::bind(socket.get(), address.data(), address.size());
    if (bound < 0 && errno == EADDRINUSE) {
        return "EADDRINUSE";
    }
    check(bound, "bind");
    return "works";
}

void show(bool server_first, bool reuse) {
    std::cout << (server_first ? "the server" : "the client") << " closes first, the old server "
              << (reuse ? "with" : "without") << " SO_REUSEADDR\n";
    const closed_connection closed = connect_and_close(server_first, reuse);
    time_wait found;
    // The last segments are in the hands of the kernel; it tells nobody when they are through.
    for (int tries = 0; !find(closed.server.port, closed.client.port, found); ++tries) {
        if (tries == 1000) {
            throw std::runtime_error("no side is in TIME-WAIT");
        }
        std::this_thread::sleep_for(1ms);
    }
    const bool at_server = found.local_port == closed.server.port;
    std::cout << "  TIME-WAIT is at the " << (at_server ? "server" : "client") << ", "
              << found.seconds_left << " s left: " << found.row << '\n';
    for (const bool again : {false, true}) {
        std::cout << "  bind to " << tftp::to_string(closed.server)
                  << (again ? " with SO_REUSEADDR: " : " without SO_REUSEADDR: ")
                  << try_bind(closed.server, again) << std::endl;
    }
}

int show_all(const example::arguments&) {
    show(true, false);
    show(true, true);
    show(false, false);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Shows who is in TIME-WAIT, and who may bind the port then.", {}, show_all
    );
}
