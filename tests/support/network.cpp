#include "support/network.hpp"

#include "support/process.hpp"
#include "support/refused.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tftp::test {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::system_category(), what};
}

struct socket_address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    explicit socket_address(const endpoint& where) {
        const void* source = nullptr;
        sockaddr_in v4{};
        sockaddr_in6 v6{};
        if (where.is_v6()) {
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(where.port);
            ::inet_pton(AF_INET6, where.host.c_str(), &v6.sin6_addr);
            source = &v6;
            size = sizeof v6;
        } else {
            v4.sin_family = AF_INET;
            v4.sin_port = htons(where.port);
            ::inet_pton(AF_INET, where.host.c_str(), &v4.sin_addr);
            source = &v4;
            size = sizeof v4;
        }
        __builtin_memcpy(&storage, source, size);
    }

    [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
};

int udp_socket(const endpoint& where) {
    const int fd = ::socket(where.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("socket");
    }
    return fd;
}

/// Writes to a file of /proc that some systems keep closed, as they do with user namespaces.
void write_text(const char* file, std::string_view text) {
    std::ofstream output{file};
    output << text;
    output.close();
    if (!output) {
        throw refused_here(std::string("user namespace, by ") + file + ",", errno);
    }
}

} // namespace

std::string endpoint::text() const {
    return (is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::uint16_t free_udp_port(const std::string& host) {
    socket_address address{{host, 0}};
    const int fd = udp_socket({host, 0});
    const bool bound = ::bind(fd, address.get(), address.size) == 0 &&
                       ::getsockname(fd, address.get(), &address.size) == 0;
    const int reason = errno;
    ::close(fd);
    if (!bound) {
        errno = reason;
        fail("bind");
    }
    // The port is at the same place in both address types.
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

bool has_address(const std::string& host) {
    try {
        return free_udp_port(host) != 0;
    } catch (const std::system_error&) {
        return false;
    }
}

bool wait_for_answer(
    const endpoint& where, child_process& server, std::chrono::milliseconds limit
) {
    using namespace std::string_view_literals;
    constexpr std::string_view request = "\0\1no-such-file\0octet\0"sv;
    constexpr int answer_limit_ms = 500;
    const auto deadline = std::chrono::steady_clock::now() + limit;
    socket_address address{where};
    bool answered = false;
    while (!answered && std::chrono::steady_clock::now() < deadline) {
        // The answer comes from a port not known yet, so the socket stays unconnected, and asks for
        // ICMP errors, which it would not see otherwise.
        const int fd = udp_socket(where);
        const int on = 1;
        ::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
        ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
        pollfd waited{fd, POLLIN, 0};
        std::array<char, 600> reply;
        answered =
            ::sendto(fd, request.data(), request.size(), 0, address.get(), address.size) > 0 &&
            ::poll(&waited, 1, answer_limit_ms) > 0 &&
            ::recv(fd, reply.data(), reply.size(), MSG_DONTWAIT) > 0;
        ::close(fd);
        if (!answered && server.wait(std::chrono::milliseconds{5})) {
            return false;
        }
    }
    return answered && !server.wait(std::chrono::milliseconds{0});
}

void enter_private_network() {
    if (::unshare(CLONE_NEWNET) != 0) {
        const uid_t user = ::getuid();
        const gid_t group = ::getgid();
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
            throw refused_here("network of its own", errno);
        }
        write_text("/proc/self/setgroups", "deny");
        write_text("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
        write_text("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
    }
    ifreq request{};
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    const int fd = udp_socket({"127.0.0.1", 0});
    const bool up = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    const int reason = errno;
    ::close(fd);
    if (!up) {
        // A system may give a namespace, and no rights in it.
        throw refused_here("network of its own", reason);
    }
}

void enter_daemon_network() {
    constexpr unsigned nobody = 65534;
    enter_private_network();
    try_other_user(nobody);
}

void add_link_pair(
    const std::string& first, const std::string& second, const std::vector<std::string>& more
) {
    command what{{"ip", "link", "add", first}, {}, {}, -1};
    what.argv.insert(what.argv.end(), more.begin(), more.end());
    what.argv.insert(what.argv.end(), {"type", "veth", "peer", "name", second});
    const run_result result = run(what, std::chrono::seconds(30));
    if (result.status == 0) {
        return;
    }
    const std::string problem = to_string(what) + ": " + result.errors;
    // A kernel without the module, or one that may not load it.
    for (const char* lacking : {"Unknown device type", "Operation not supported"}) {
        if (problem.find(lacking) != std::string::npos) {
            throw refused_here(problem.substr(0, problem.find('\n')));
        }
    }
    throw std::runtime_error(problem);
}

void pin_to_this_cpu() {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &only);
    if (::sched_setaffinity(0, sizeof only, &only) != 0) {
        fail("sched_setaffinity");
    }
}

} // namespace tftp::test
