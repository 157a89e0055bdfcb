// Shows: what a connection costs. The same requests are sent twice: with a connection for each, and
// over one that stays. A connection takes three segments to open and about as many to close, and
// its port stays in TIME-WAIT for a minute on the side that closes first.
//
// Run:     connection_lifetime --requests 1000
// Observe: segments and time per request; the server is a thread of the program itself. Over a real
//          network each connection costs a round trip more, before the first octet of a request.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <stop_token>
#include <thread>

// The kernel's own tcp_info counts segments; that of <netinet/tcp.h> is older.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;

using message = std::array<char, 64>;

/// Returns false when the other side ended the connection.
bool receive_all(const unique_fd& socket, message& into) {
    // MSG_WAITALL: the bytes of one message may come in several segments.
    const auto came = check(::recv(socket.get(), into.data(), into.size(), MSG_WAITALL), "recv");
    return came == static_cast<::ssize_t>(into.size());
}

void send_all(const unique_fd& socket, const message& what) {
    const auto sent = check(::send(socket.get(), what.data(), what.size(), MSG_NOSIGNAL), "send");
    if (sent != static_cast<::ssize_t>(what.size())) {
        throw std::runtime_error("send: a blocking socket took only a part");
    }
}

/// Answers every request with the same bytes, until the listener is shut down.
void answer(const unique_fd& listener) {
    try {
        while (true) {
            const unique_fd client(
                check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept")
            );
            for (message request{}; receive_all(client, request);) {
                send_all(client, request);
            }
        }
    } catch (const std::exception&) {
        // The end of the program. If it is anything else, whoever still waits for us learns it so.
        ::shutdown(listener.get(), SHUT_RDWR);
    }
}

/// One side of a connection, and the segments that went both ways.
class connection {
public:
    explicit connection(const socket_address& server)
        : socket_(example::open_socket(AF_INET, SOCK_STREAM)) {
        check(::connect(socket_.get(), server.data(), server.size()), "connect");
    }

    void request() {
        message octets{};
        send_all(socket_, octets);
        if (!receive_all(socket_, octets)) {
            throw std::runtime_error("the server ended the connection");
        }
    }

    /// Ends both directions and returns all segments, those of the end included.
    std::uint64_t finish() {
        check(::shutdown(socket_.get(), SHUT_WR), "shutdown");
        message none{};
        receive_all(socket_, none);
        ::tcp_info info{};
        ::socklen_t size = sizeof info;
        check(::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
        return std::uint64_t{info.tcpi_segs_out} + info.tcpi_segs_in;
    }

private:
    unique_fd socket_;
};

/// Sends the requests, `each` of them over one connection, and prints what it took.
void measure(
    const char* name, const socket_address& server, std::uint64_t requests, std::uint64_t each
) {
    std::uint64_t connections = 0;
    std::uint64_t segments = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t sent = 0; sent < requests; ++connections) {
        connection to(server);
        for (std::uint64_t i = 0; i < each; ++i, ++sent) {
            to.request();
        }
        segments += to.finish();
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    const auto count = static_cast<double>(requests);
    std::cout << name << ": connections " << connections << ", a request took "
              << static_cast<double>(segments) / count << " segments and " << took.count() / count
              << " us" << std::endl;
}

int compare(const example::arguments& given) {
    // Each short connection takes a port, which is not free again at once: there are 28000 or so.
    const std::uint64_t requests = given.number("--requests", 1, 10'000);
    const unique_fd listener = example::open_socket(AF_INET, SOCK_STREAM);
    const socket_address any(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    check(::bind(listener.get(), any.data(), any.size()), "bind");
    check(::listen(listener.get(), SOMAXCONN), "listen");
    const socket_address server(example::local_address(listener));

    // When this function is left, in whatever way, the thread is asked to stop: accept() fails
    // then.
    const std::jthread thread([&listener](const std::stop_token& stop) {
        const std::stop_callback ends(stop, [&] { ::shutdown(listener.get(), SHUT_RDWR); });
        answer(listener);
    });
    std::cout << std::fixed << std::setprecision(1);
    measure("short", server, requests, 1);
    measure("long ", server, requests, requests);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Compares a connection for each request with one connection for all.",
        {{"--requests", "how many, both times", "1000"}},
        compare
    );
}
