// Shows: a server of TCP in its simplest form: socket, bind, listen, and one client after another.
// It sends each line back. Lines do not come as they were sent: the server gathers bytes until it
// holds the end of a line, and limits how long that may take in memory.
//
// Run:     tcp_server 127.0.0.1:7000   (beside: tcp_client 127.0.0.1:7000 one two three)
// Observe: who connected, who left, how many bytes. A second client is connected at once, by the
//          kernel, and is answered when the first has left. Ctrl-C ends it.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"

#include <array>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;

/// Bytes of one line at most: a client cannot have us hold more.
constexpr std::size_t line_max = 65536;

struct tally {
    std::size_t in = 0;
    std::size_t out = 0;
};

/// send() may take a part; this goes on until all is taken.
void send_all(const unique_fd& socket, std::string_view octets, tally& count) {
    while (!octets.empty()) {
        const auto taken =
            check(::send(socket.get(), octets.data(), octets.size(), MSG_NOSIGNAL), "send");
        count.out += static_cast<std::size_t>(taken);
        octets.remove_prefix(static_cast<std::size_t>(taken));
    }
}

/// Sends whole lines back until the client ends its side; the rest without an end of line then.
void echo(const unique_fd& socket, tally& count) {
    std::string held;
    std::array<char, 4096> octets{};
    for (;;) {
        const auto came = check(::recv(socket.get(), octets.data(), octets.size(), 0), "recv");
        if (came == 0) {
            send_all(socket, held, count);
            return;
        }
        count.in += static_cast<std::size_t>(came);
        held.append(octets.data(), static_cast<std::size_t>(came));
        const auto whole = held.rfind('\n') + 1; // npos + 1 is 0: no line is whole
        send_all(socket, std::string_view(held).substr(0, whole), count);
        held.erase(0, whole);
        if (held.size() > line_max) {
            throw std::runtime_error("a line is too long");
        }
    }
}

/// Whatever goes wrong with one client ends its connection, never the server.
void attend(const unique_fd& socket, const std::string& who) {
    std::cout << who << " connected" << std::endl;
    tally count;
    std::string why;
    try {
        echo(socket, count);
    } catch (const std::exception& failed) {
        why = std::string(", ") + failed.what();
    }
    std::cout << who << " left: " << count.in << " bytes in, " << count.out << " out" << why
              << std::endl;
}

int serve(const example::arguments& given) {
    const socket_address address(given.address("ADDRESS:PORT"));
    example::stop_signal stop;
    const unique_fd listener = example::open_socket(address.data()->sa_family, SOCK_STREAM);
    // A server that is started again may bind its port while old connections are in TIME-WAIT.
    const int on = 1;
    check(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    check(::bind(listener.get(), address.data(), address.size()), "bind");
    check(::listen(listener.get(), SOMAXCONN), "listen");
    stop.shuts_down(listener.get(), 0);
    std::cout << "serving on " << tftp::to_string(example::local_address(listener)) << std::endl;

    while (!stop.asked()) {
        socket_address from;
        ::socklen_t size = socket_address::capacity;
        const unique_fd client(::accept4(listener.get(), from.data(), &size, SOCK_CLOEXEC));
        if (!client) {
            // A client that gave up before we came to it is no failure of ours.
            if (stop.asked() || errno == ECONNABORTED || errno == EINTR) {
                continue;
            }
            check(-1, "accept");
        }
        stop.shuts_down(client.get(), 1);
        attend(client, tftp::to_string(from.to_endpoint()));
        stop.shuts_down(-1, 1);
    }
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends lines back over TCP, one client after another.",
        {{"ADDRESS:PORT", "where it listens; port 0: any free one"}},
        serve
    );
}
