#include "common/echo_service.hpp"

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

namespace example {

namespace {

/// Another would only wait: nothing is there, or the peer takes nothing.
bool would_block() noexcept {
    return errno == EAGAIN || errno == EINTR;
}

} // namespace

unique_fd listen_tcp(const tftp::endpoint& where) {
    const bool ipv4 = where.family == tftp::address_family::ipv4;
    unique_fd socket = open_socket(ipv4 ? AF_INET : AF_INET6, SOCK_STREAM);
    // The port of a server that ended a moment ago can be taken again: see time_wait.
    const int yes = 1;
    check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
    const socket_address address(where);
    check(::bind(socket.get(), address.data(), address.size()), "bind");
    check(::listen(socket.get(), SOMAXCONN), "listen");
    return socket;
}

echo_service::echo_service(const tftp::endpoint& where) : listener_(listen_tcp(where)) {
    // accept_all() takes what is there; the last call must not wait for one more.
    check(::fcntl(listener_.get(), F_SETFL, O_NONBLOCK), "fcntl");
    changed_.push_back({listener_.get(), true, false});
}

void echo_service::changes(std::vector<tftp::interest>& out) {
    out.insert(out.end(), changed_.begin(), changed_.end());
    changed_.clear();
}

void echo_service::on_ready(int fd, bool, bool, tftp::time_point) {
    if (fd == listener_.get()) {
        accept_all();
        return;
    }
    const auto found = connections_.find(fd);
    if (found == connections_.end()) {
        return;
    }
    connection& c = found->second;
    const bool was_full = !c.pending.empty();
    if (!serve(c)) {
        changed_.push_back({fd, false, false});
        connections_.erase(found);
    } else if (was_full != !c.pending.empty()) {
        changed_.push_back({fd, c.pending.empty(), !c.pending.empty()});
    }
}

void echo_service::accept_all() {
    for (;;) {
        unique_fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)
        );
        if (!socket) {
            // Nobody is left; or no descriptor is, and then the client stays in the kernel's queue
            // and this is called again at once. A server for strangers would rest for a moment.
            return;
        }
        const int fd = socket.get();
        connections_[fd] = {std::move(socket), {}};
        changed_.push_back({fd, true, false});
    }
}

bool echo_service::serve(connection& c) {
    std::array<char, 4096> buffer{};
    for (;;) {
        while (!c.pending.empty()) {
            const ::ssize_t sent =
                ::send(c.socket.get(), c.pending.data(), c.pending.size(), MSG_NOSIGNAL);
            if (sent < 0) {
                return would_block();
            }
            c.pending.erase(0, static_cast<std::size_t>(sent));
        }
        const ::ssize_t received = ::recv(c.socket.get(), buffer.data(), buffer.size(), 0);
        if (received <= 0) {
            return received < 0 && would_block();
        }
        c.pending.assign(buffer.data(), static_cast<std::size_t>(received));
    }
}

} // namespace example
