// Shows: io_uring, the asynchronous model. The others ask "what is ready?" and then read; here the
// read itself is ordered, and what comes back is the bytes. Orders and results pass through two
// rings that the program and the kernel share, so one system call hands over many orders and waits.
//
// Run:     io_uring --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000
// Observe: at the end (Ctrl-C) fewer system calls than results. The library's TFTP reads by itself,
//          so for that the ring is asked when a descriptor is ready: that is epoll by other means.
//
// See docs/examples/README.md.

#include "common/rings.hpp"
#include "common/server.hpp"
#include "common/service.hpp"
#include "common/socket.hpp"

#include <tftp/base/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <liburing.h>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include <poll.h>

namespace {

constexpr std::uint64_t stop_number = 0;
constexpr std::uint64_t accept_number = 1;

/// A connection has one order under way: to receive, or to send what it received. The kernel writes
/// into the buffer meanwhile, so it stays where it is.
struct connection {
    example::unique_fd socket;
    std::array<char, 4096> buffer{};
    std::size_t size = 0;
    std::size_t sent = 0;
};

class echo {
public:
    explicit echo(const tftp::endpoint& where) : listener_(example::listen_tcp(where)) {}

    [[nodiscard]] tftp::endpoint address() const { return example::local_address(listener_); }

    void serve(const example::stop_signal& stop) {
        ::io_uring_prep_poll_add(rings_.order(stop_number), stop.fd(), POLLIN);
        accept();
        while (!stop.asked()) {
            rings_.wait(-1, [this](std::uint64_t number, int result, bool more) {
                if (number == accept_number) {
                    on_accepted(result, more);
                } else if (number != stop_number) {
                    on_result(number, result);
                }
            });
        }
        rings_.report();
    }

private:
    /// One order for all connections to come.
    void accept() {
        ::io_uring_prep_multishot_accept(
            rings_.order(accept_number), listener_.get(), nullptr, nullptr, SOCK_CLOEXEC
        );
    }

    void on_accepted(int result, bool more) {
        if (result >= 0) {
            const std::uint64_t number = ++last_number_;
            auto& added = connections_[number];
            added = std::make_unique<connection>();
            added->socket.reset(result);
            receive(number, *added);
        }
        if (!more) {
            accept();
        }
    }

    void receive(std::uint64_t number, connection& c) {
        c.size = 0;
        ::io_uring_prep_recv(
            rings_.order(number), c.socket.get(), c.buffer.data(), c.buffer.size(), 0
        );
    }

    void on_result(std::uint64_t number, int result) {
        const auto found = connections_.find(number);
        connection& c = *found->second;
        if (result <= 0) {
            connections_.erase(found);
            return;
        }
        const auto octets = static_cast<std::size_t>(result);
        if (c.size == 0) {
            c.size = octets;
            c.sent = 0;
        } else {
            c.sent += octets;
        }
        if (c.sent == c.size) {
            receive(number, c);
        } else {
            ::io_uring_prep_send(
                rings_.order(number),
                c.socket.get(),
                c.buffer.data() + c.sent,
                c.size - c.sent,
                MSG_NOSIGNAL
            );
        }
    }

    example::unique_fd listener_;
    std::uint64_t last_number_ = accept_number;
    std::unordered_map<std::uint64_t, std::unique_ptr<connection>> connections_;
    /// Destroyed first: nothing is written into the buffers then.
    example::rings rings_;
};

/// For services that read by themselves.
template <example::service Service>
class readiness {
public:
    explicit readiness(Service& served) : served_(served) {}

    void serve(const example::stop_signal& stop) {
        watch({stop.fd(), true, false});
        std::vector<tftp::interest> changes;
        while (!stop.asked()) {
            served_.changes(changes);
            for (const tftp::interest& each : changes) {
                watch(each);
            }
            changes.clear();
            rings_.wait(
                example::milliseconds_until(served_.deadline()),
                [&](std::uint64_t number, int result, bool) { on_result(number, result, stop); }
            );
            example::meet_deadline(served_, tftp::clock::now());
        }
        rings_.report();
    }

private:
    struct entry {
        std::uint64_t number;
        unsigned events;
    };

    void watch(const tftp::interest& wanted) {
        if (const auto old = watched_.find(wanted.fd); old != watched_.end()) {
            // As long as an order holds it, a closed descriptor is not closed.
            ::io_uring_prep_cancel64(rings_.order(stop_number), old->second.number, 0);
            fds_.erase(old->second.number);
            watched_.erase(old);
        }
        if (wanted.read || wanted.write) {
            const unsigned events =
                (wanted.read ? unsigned{POLLIN} : 0U) | (wanted.write ? unsigned{POLLOUT} : 0U);
            watched_[wanted.fd] = {++last_number_, events};
            fds_[last_number_] = wanted.fd;
            ::io_uring_prep_poll_add(rings_.order(last_number_), wanted.fd, events);
        }
    }

    void on_result(std::uint64_t number, int result, const example::stop_signal& stop) {
        const auto found = fds_.find(number);
        if (found == fds_.end() || result < 0 || stop.asked()) {
            return;
        }
        const int fd = found->second;
        served_.on_ready(fd, (result & ~POLLOUT) != 0, (result & POLLOUT) != 0, tftp::clock::now());
        // The order is fulfilled: a new one, should it still be wanted.
        ::io_uring_prep_poll_add(rings_.order(number), fd, watched_[fd].events);
    }

    Service& served_;
    std::uint64_t last_number_ = stop_number;
    std::unordered_map<int, entry> watched_;
    std::unordered_map<std::uint64_t, int> fds_;
    example::rings rings_;
};

int run(const example::arguments& given) {
    const tftp::endpoint where = given.address("--listen");
    if (given.one_of("--service", {"echo", "tftp"}) == "tftp") {
        // A system may allow no ring: that is said before anybody is told of a server.
        static_cast<void>(example::rings());
        return example::serve_chosen(given, [](auto& served, const auto& stop) {
            readiness(served).serve(stop);
        });
    }
    const example::stop_signal stop;
    echo served(where);
    example::announce(served.address());
    served.serve(stop);
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves many clients in one thread by io_uring.", example::server_arguments, run
    );
}
