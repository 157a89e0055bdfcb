// Shows: one thread that waits by epoll(7): the kernel keeps what is watched, and a wait returns
// those that are ready, however many are silent. Level-triggered it tells of a descriptor for as
// long as there is something to read; edge-triggered once for each arrival, so that everything must
// be read before the next wait. The echo here does that; the library's TFTP reads a batch, so each
// descriptor is armed again, which costs a call: edges are for programs written for them.
//
// Run:     epoll --service echo --listen 127.0.0.1:7007
//          epoll --edge --service tftp --root DIRECTORY
//          many_clients 127.0.0.1:7007 --connections 5000
// Observe: at the end (Ctrl-C) the number of waits, and of descriptors that each brought.
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"
#include "common/socket.hpp"

#include <tftp/base/time.hpp>

#include <array>
#include <cstdint>
#include <iostream>
#include <unordered_map>
#include <vector>

#include <sys/epoll.h>

namespace {

class epoll_set {
public:
    explicit epoll_set(bool edge)
        : set_(example::check(::epoll_create1(EPOLL_CLOEXEC), "epoll")), edge_(edge) {}

    void watch(const tftp::interest& wanted) {
        if (!wanted.read && !wanted.write) {
            // It may be closed already: the kernel has forgotten it by itself then.
            ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, wanted.fd, nullptr);
            watched_.erase(wanted.fd);
            return;
        }
        ::epoll_event event{};
        event.data.fd = wanted.fd;
        event.events = (wanted.read ? std::uint32_t{EPOLLIN} : 0U) |
                       (wanted.write ? std::uint32_t{EPOLLOUT} : 0U) |
                       (edge_ ? std::uint32_t{EPOLLET} : 0U);
        const bool known = !watched_.insert_or_assign(wanted.fd, event).second;
        const int operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        example::check(::epoll_ctl(set_.get(), operation, wanted.fd, &event), "epoll_ctl");
    }

    /// Asks for a new edge if there is more to read.
    void arm_again(int fd) {
        if (const auto found = watched_.find(fd); found != watched_.end()) {
            // Fails for one that was closed just now, of which the changes tell next.
            ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, fd, &found->second);
        }
    }

    /// Calls take(fd, readable, writable) for all that is ready.
    template <class Take>
    void wait(int timeout_ms, Take take) {
        std::array<::epoll_event, 256> events{};
        const int count = ::epoll_wait(set_.get(), events.data(), events.size(), timeout_ms);
        ++waits_;
        for (int i = 0; i < count; ++i) {
            const ::epoll_event& each = events[static_cast<std::size_t>(i)];
            ++ready_;
            take(each.data.fd, (each.events & ~EPOLLOUT) != 0, (each.events & EPOLLOUT) != 0);
        }
    }

    void report() const {
        std::cout << waits_ << " waits for " << ready_ << " ready descriptors" << std::endl;
    }

private:
    example::unique_fd set_;
    bool edge_;
    std::unordered_map<int, ::epoll_event> watched_;
    std::uint64_t waits_ = 0;
    std::uint64_t ready_ = 0;
};

template <example::service Service>
void serve(Service& served, const example::stop_signal& stop, bool edge) {
    epoll_set set(edge);
    set.watch({stop.fd(), true, false});
    std::vector<tftp::interest> changes;
    while (!stop.asked()) {
        served.changes(changes);
        for (const tftp::interest& each : changes) {
            set.watch(each);
        }
        changes.clear();
        set.wait(
            example::milliseconds_until(served.deadline()),
            [&](int fd, bool readable, bool writable) {
                served.on_ready(fd, readable, writable, tftp::clock::now());
                if (edge && !Service::reads_all) {
                    set.arm_again(fd);
                }
            }
        );
        example::meet_deadline(served, tftp::clock::now());
    }
    set.report();
}

int run(const example::arguments& given) {
    return example::serve_chosen(given, [&](auto& served, const auto& stop) {
        serve(served, stop, given.given("--edge"));
    });
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by epoll(7).",
        {
            {"--service", "echo (TCP) or tftp", "echo"},
            {"--listen", "ADDRESS:PORT; port 0 takes a free one", "127.0.0.1:0"},
            {"--root", "directory that TFTP serves", "."},
            {"--edge!", "edge-triggered"},
        },
        run
    );
}
