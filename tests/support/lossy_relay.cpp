#include "support/lossy_relay.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tftp::test {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::system_category(), what};
}

bool equal(const sockaddr_in& left, const sockaddr_in& right) noexcept {
    return left.sin_port == right.sin_port && left.sin_addr.s_addr == right.sin_addr.s_addr;
}

sockaddr_in loopback() noexcept {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// A UDP socket bound to a port of its own on 127.0.0.1.
class bound_socket {
public:
    bound_socket() : fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
        const sockaddr_in address = loopback();
        if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address)) {
            fail("relay socket");
        }
        // A window of 64 KiB blocks must not be lost here: only what the seed says is.
        const int bytes = 8 << 20;
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }

    ~bound_socket() { ::close(fd_); }

    bound_socket(const bound_socket&) = delete;
    bound_socket& operator=(const bound_socket&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }

private:
    int fd_;
};

class coin {
public:
    coin(double loss, std::uint64_t seed) : generator_{seed}, lost_{loss} {}

    bool drops() { return lost_(generator_); }

private:
    std::mt19937_64 generator_;
    std::bernoulli_distribution lost_;
};

/// Applies a pattern to the datagrams of one flow.
class chooser {
public:
    explicit chooser(const loss_pattern& pattern) : pattern_{pattern} {}

    /// Returns whether this copy of a datagram is lost.
    bool drops(std::string_view datagram) {
        constexpr std::size_t head_size = 4;
        if (datagram.size() < head_size) {
            return false;
        }
        const unsigned opcode = octet(datagram, 1);
        const unsigned block = octet(datagram, 2) << 8 | octet(datagram, 3);
        if (opcode == data) {
            // The last block is shorter than the first.
            block_size_ = std::max(block_size_, datagram.size());
            if (datagram.size() < block_size_) {
                last_ = block;
            }
        }
        if (!chosen(opcode, block)) {
            return false;
        }
        const bool numbered = opcode == data || opcode == ack;
        return ++copies_[{opcode, numbered ? block : 0}] <= pattern_.copies;
    }

private:
    static constexpr unsigned data = 3;
    static constexpr unsigned ack = 4;
    static constexpr unsigned error = 5;

    static unsigned octet(std::string_view datagram, std::size_t at) {
        return static_cast<unsigned char>(datagram[at]);
    }

    [[nodiscard]] bool chosen(unsigned opcode, unsigned block) const {
        if (opcode == error) {
            return false;
        }
        if (opcode != data && (opcode != ack || block == 0)) {
            return pattern_.opening; // RRQ, WRQ, OACK, and the ACK of a WRQ
        }
        if (pattern_.every == 0 || (opcode == ack && block == last_)) {
            return false;
        }
        const unsigned shift = opcode == ack ? pattern_.every / 2 : 0;
        return (block + shift) % pattern_.every == pattern_.first % pattern_.every;
    }

    loss_pattern pattern_;
    std::size_t block_size_ = 0;
    std::optional<unsigned> last_;
    /// Seen so far, by opcode and block.
    std::map<std::pair<unsigned, unsigned>, unsigned> copies_;
};

/// One server TID of a flow, and the port that stands for it towards the client.
struct server_side {
    sockaddr_in tid{};
    bound_socket to_client;
};

/// Everything of one client TID.
struct flow {
    explicit flow(const loss_pattern& pattern) : losses{pattern} {}

    sockaddr_in client{};
    bound_socket to_server;
    std::vector<std::unique_ptr<server_side>> servers;
    chooser losses;
};

} // namespace

class lossy_relay::worker {
public:
    worker(
        lossy_relay& owner,
        const endpoint& server,
        const loss_pattern& pattern,
        double loss,
        std::uint64_t seed
    )
        : owner_{owner},
          pattern_{pattern},
          towards_server_{loss, seed},
          towards_client_{loss, seed + 1} {
        server_ = loopback();
        server_.sin_port = htons(server.port);
        ::inet_pton(AF_INET, server.host.c_str(), &server_.sin_addr);
    }

    void run() {
        std::vector<pollfd> set;
        while (true) {
            set.assign({{owner_.stop_fd_, POLLIN, 0}, {owner_.listen_fd_, POLLIN, 0}});
            for (const auto& one : flows_) {
                set.push_back({one->to_server.fd(), POLLIN, 0});
                for (const auto& side : one->servers) {
                    set.push_back({side->to_client.fd(), POLLIN, 0});
                }
            }
            if (::poll(set.data(), set.size(), -1) < 0 && errno != EINTR) {
                return;
            }
            if (set[0].revents != 0) {
                return;
            }
            serve();
        }
    }

private:
    /// Takes what every socket holds; most hold nothing, which costs one system call each.
    void serve() {
        while (const auto datagram = receive(owner_.listen_fd_)) {
            remember(&traffic::requests, *datagram);
            flow& from = flow_of(from_);
            forward(from, from.to_server.fd(), *datagram, server_, towards_server_);
        }
        for (const auto& one : flows_) {
            while (const auto datagram = receive(one->to_server.fd())) {
                server_side& side = side_of(*one, from_, *datagram);
                forward(*one, side.to_client.fd(), *datagram, one->client, towards_client_);
            }
            for (const auto& side : one->servers) {
                while (const auto datagram = receive(side->to_client.fd())) {
                    forward(*one, one->to_server.fd(), *datagram, side->tid, towards_server_);
                }
            }
        }
    }

    /// Returns the next datagram of `fd`, its sender in from_; ICMP errors are nobody's here.
    std::optional<std::string_view> receive(int fd) {
        socklen_t size = sizeof from_;
        const ssize_t got = ::recvfrom(
            fd, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from_), &size
        );
        if (got < 0) {
            return std::nullopt;
        }
        return std::string_view{buffer_.data(), static_cast<std::size_t>(got)};
    }

    flow& flow_of(const sockaddr_in& client) {
        for (const auto& one : flows_) {
            if (equal(one->client, client)) {
                return *one;
            }
        }
        flows_.push_back(std::make_unique<flow>(pattern_));
        flows_.back()->client = client;
        return *flows_.back();
    }

    server_side& side_of(flow& one, const sockaddr_in& tid, std::string_view datagram) {
        for (const auto& side : one.servers) {
            if (equal(side->tid, tid)) {
                return *side;
            }
        }
        remember(&traffic::answers, datagram);
        one.servers.push_back(std::make_unique<server_side>());
        one.servers.back()->tid = tid;
        return *one.servers.back();
    }

    void
    forward(flow& of, int fd, std::string_view datagram, const sockaddr_in& to, coin& decision) {
        const bool chosen = of.losses.drops(datagram);
        const bool dropped = decision.drops() || chosen;
        if (!dropped) {
            ::sendto(
                fd,
                datagram.data(),
                datagram.size(),
                0,
                reinterpret_cast<const sockaddr*>(&to),
                sizeof to
            );
        }
        const std::scoped_lock lock{owner_.mutex_};
        ++(dropped ? owner_.traffic_.dropped : owner_.traffic_.forwarded);
    }

    void remember(std::vector<std::string> traffic::*list, std::string_view datagram) {
        const std::scoped_lock lock{owner_.mutex_};
        (owner_.traffic_.*list).emplace_back(datagram);
    }

    lossy_relay& owner_;
    loss_pattern pattern_;
    coin towards_server_;
    coin towards_client_;
    sockaddr_in server_{};
    sockaddr_in from_{};
    std::vector<std::unique_ptr<flow>> flows_;
    std::array<char, 65536> buffer_{};
};

std::string to_string(const loss_pattern& pattern) {
    return "1 in " + std::to_string(pattern.every) + " from " + std::to_string(pattern.first) +
           (pattern.copies == 1 ? "" : ", " + std::to_string(pattern.copies) + " copies") +
           (pattern.opening ? ", opening" : "");
}

lossy_relay::lossy_relay(const endpoint& behind, const loss_pattern& pattern) {
    start(std::make_shared<worker>(*this, behind, pattern, 0.0, 0));
}

lossy_relay::lossy_relay(const endpoint& server, double loss, std::uint64_t seed) {
    start(std::make_shared<worker>(*this, server, loss_pattern{}, loss, seed));
}

void lossy_relay::start(std::shared_ptr<worker> work) {
    listen_fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    sockaddr_in address = loopback();
    socklen_t size = sizeof address;
    if (::bind(listen_fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        fail("relay listener");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread{[work = std::move(work)] { work->run(); }};
}

lossy_relay::~lossy_relay() {
    ::eventfd_write(stop_fd_, 1);
    thread_.join();
    ::close(listen_fd_);
    ::close(stop_fd_);
}

endpoint lossy_relay::address() const {
    return {"127.0.0.1", port_};
}

lossy_relay::traffic lossy_relay::seen() const {
    const std::scoped_lock lock{mutex_};
    return traffic_;
}

} // namespace tftp::test
