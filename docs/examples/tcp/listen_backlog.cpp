// Shows: what the number of listen() means. The kernel completes connections for a server that does
// not accept them, and keeps them in the accept queue. Linux holds one more than the number, and
// never more than net.core.somaxconn. When the queue is full it drops each SYN without a word: the
// client looks as if the network were slow, and sends it again after a second.
//
// Run:     listen_backlog --backlog 4 --connections 8 --accept 1
// Observe: five connections are established though nobody accepted; the others stay in SYN-SENT.
//          One accept() makes room for one, which comes in with its second SYN. Where several of
//          these arrive at once, all are answered, and one finds the place: the others are
//          established for the client only, and SYN-RECEIVED at the server.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;

using clock = std::chrono::steady_clock;
using example::check;
using example::socket_address;
using example::unique_fd;

::tcp_info look(const unique_fd& socket) {
    ::tcp_info info{};
    ::socklen_t size = sizeof info;
    check(::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
    return info;
}

/// Returns a counter of this network namespace from /proc/net/netstat: a line of names, a line of
/// values.
std::uint64_t counter(const std::string& name) {
    std::ifstream file("/proc/net/netstat");
    for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
        std::istringstream in_names(names);
        std::istringstream in_values(values);
        for (std::string left, right; in_names >> left && in_values >> right;) {
            if (left == name) {
                return std::stoull(right);
            }
        }
    }
    return 0;
}

/// Connections that were begun and are not established yet, and when.
struct attempts {
    std::vector<unique_fd> sockets;
    std::vector<::pollfd> waiting;
    clock::time_point begin;

    void open(const socket_address& server) {
        sockets.push_back(example::open_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK));
        const int fd = sockets.back().get();
        if (::connect(fd, server.data(), server.size()) < 0 && errno != EINPROGRESS) {
            check(-1, "connect");
        }
        waiting.push_back({fd, POLLOUT, 0});
    }

    /// Waits until `count` more are established, or nothing happens for that long. Returns how
    /// many are.
    std::size_t complete(std::size_t count, std::chrono::milliseconds quiet) {
        std::size_t done = 0;
        const auto wait_ms = static_cast<int>(quiet.count());
        while (done < count && check(::poll(waiting.data(), waiting.size(), wait_ms), "poll") > 0) {
            for (::pollfd& each : waiting) {
                if (each.fd < 0 || each.revents == 0) {
                    continue;
                }
                int error = 0;
                ::socklen_t size = sizeof error;
                check(::getsockopt(each.fd, SOL_SOCKET, SO_ERROR, &error, &size), "SO_ERROR");
                errno = error;
                check(error == 0 ? 0 : -1, "connect");
                each.fd = -1; // poll passes over it
                ++done;
            }
        }
        return done;
    }

    /// How many are in that state, as the kernel tells.
    [[nodiscard]] auto in_state(int state) const {
        return std::count_if(sockets.begin(), sockets.end(), [state](const unique_fd& socket) {
            return look(socket).tcpi_state == state;
        });
    }
};

void report(
    const attempts& clients,
    const unique_fd& listener,
    std::size_t accepted,
    std::uint64_t dropped_before
) {
    const std::chrono::duration<double> passed = clock::now() - clients.begin;
    const auto established = clients.in_state(TCP_ESTABLISHED);
    // Of a listener, two fields have a meaning of their own: its queue now, and the limit.
    const ::tcp_info queue = look(listener);
    // What is established for the client, and neither waits here nor was accepted, is SYN-RECEIVED
    // at the server. /proc/net/tcp shows these, too, but is no snapshot while others come and go.
    const auto half_open = established - static_cast<std::ptrdiff_t>(accepted + queue.tcpi_unacked);
    std::cout << "after " << passed.count() << " s\n  clients: " << established << " ESTABLISHED, "
              << clients.in_state(TCP_SYN_SENT) << " SYN-SENT\n  server: accept queue "
              << queue.tcpi_unacked << ", limit " << queue.tcpi_sacked << "; SYN-RECEIVED "
              << half_open << "; dropped " << counter("ListenOverflows") - dropped_before
              << std::endl;
}

int fill(const example::arguments& given) {
    const auto backlog = static_cast<int>(given.number("--backlog", 0, 100'000));
    const auto connections = given.number("--connections", 1, 500);
    const auto accepts = given.number("--accept", 0, 500);

    // It does not block, so that accept() can find the queue empty.
    const unique_fd listener = example::open_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    const socket_address any(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
    check(::bind(listener.get(), any.data(), any.size()), "bind");
    check(::listen(listener.get(), backlog), "listen");
    std::uint64_t somaxconn = 0;
    std::ifstream("/proc/sys/net/core/somaxconn") >> somaxconn;
    std::cout << "listen(" << backlog << "), net.core.somaxconn is " << somaxconn << std::endl;
    std::cout << std::fixed << std::setprecision(2);

    const std::uint64_t dropped = counter("ListenOverflows");
    const socket_address server(example::local_address(listener));
    attempts clients;
    clients.begin = clock::now();
    for (std::uint64_t i = 0; i < connections; ++i) {
        clients.open(server);
    }
    // Over loopback they are established at once, or not before the second SYN.
    clients.complete(connections, 300ms);
    report(clients, listener, 0, dropped);

    std::vector<unique_fd> accepted;
    for (std::uint64_t i = 0; i < accepts; ++i) {
        unique_fd next(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!next) {
            break;
        }
        accepted.push_back(std::move(next));
    }
    std::cout << "accepted " << accepted.size() << std::endl;
    const auto missing = static_cast<std::size_t>(clients.in_state(TCP_SYN_SENT));
    const std::size_t more = clients.complete(std::min(accepted.size(), missing), 5s);
    clients.complete(missing - more, 300ms);
    report(clients, listener, accepted.size(), dropped);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Fills the queue of a listener that does not accept.",
        {{"--backlog", "the number given to listen()", "4"},
         {"--connections", "how many are opened", "8"},
         {"--accept", "how many are accepted then", "1"}},
        fill
    );
}
