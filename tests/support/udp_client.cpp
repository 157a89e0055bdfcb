#include "support/udp_client.hpp"

#include <tftp/socket/socket_address.hpp>

#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tftp::test {

namespace {

constexpr std::size_t datagram_octets_max = 65536;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

int bound_socket(const tftp::endpoint& local) {
    const socket_address address(local);
    const int fd = ::socket(address.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket");
    }
    const int on = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) != 0 ||
        ::bind(fd, address.data(), address.size()) != 0) {
        const int reason = errno;
        ::close(fd);
        errno = reason;
        fail("bind");
    }
    return fd;
}

} // namespace

udp_client::udp_client(const tftp::endpoint& local) : fd_(bound_socket(local)) {}

udp_client::~udp_client() {
    ::close(fd_);
}

tftp::endpoint udp_client::local() const {
    socket_address address;
    ::socklen_t size = socket_address::capacity;
    if (::getsockname(fd_, address.data(), &size) != 0) {
        fail("getsockname");
    }
    return address.to_endpoint();
}

void udp_client::send(const tftp::endpoint& to, bytes_view octets) {
    const socket_address address(to);
    if (::sendto(fd_, octets.data(), octets.size(), 0, address.data(), address.size()) < 0) {
        fail("sendto");
    }
}

std::optional<arrived> udp_client::receive(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        ::pollfd waited{fd_, POLLIN, 0};
        if (left.count() < 0 || ::poll(&waited, 1, static_cast<int>(left.count())) == 0) {
            return std::nullopt;
        }
        arrived message{{}, std::vector<std::byte>(datagram_octets_max)};
        socket_address address;
        ::socklen_t size = socket_address::capacity;
        const ::ssize_t got = ::recvfrom(
            fd_, message.octets.data(), message.octets.size(), MSG_DONTWAIT, address.data(), &size
        );
        if (got >= 0) {
            message.octets.resize(static_cast<std::size_t>(got));
            message.from = address.to_endpoint();
            return message;
        }
        if (errno != EAGAIN && errno != EINTR) {
            fail("recvfrom");
        }
    }
}

} // namespace tftp::test
