// Shows: signal-driven I/O. Each descriptor is told (O_ASYNC, F_SETSIG, F_SETOWN) to send a
// real-time signal when it becomes ready; the program takes the signals from a queue by
// sigtimedwait(2), and does nothing in between. The queue is finite: when it overflows, SIGIO says
// that signals were lost, and every descriptor has to be looked at.
//
// Run:     signal_driven --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 100
// Observe: the number of signals and of overflows at the end (Ctrl-C). It is edge-triggered: what
// is
//          not read now is told of again only when more comes.
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"
#include "common/socket.hpp"

#include <tftp/base/time.hpp>

#include <csignal>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <map>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace {

class signal_queue {
public:
    /// Blocks the signals, so that they wait in the queue until they are asked for.
    signal_queue() : ready_(SIGRTMIN + 1) {
        ::sigemptyset(&taken_);
        ::sigaddset(&taken_, ready_);
        ::sigaddset(&taken_, SIGIO);
        example::check(::sigprocmask(SIG_BLOCK, &taken_, nullptr), "sigprocmask");
    }

    void watch(const tftp::interest& wanted) {
        if (!wanted.read && !wanted.write) {
            watched_.erase(wanted.fd);
            return;
        }
        const bool known = !watched_.insert_or_assign(wanted.fd, wanted).second;
        if (!known) {
            const int flags = example::check(::fcntl(wanted.fd, F_GETFL), "F_GETFL");
            example::check(::fcntl(wanted.fd, F_SETOWN, ::getpid()), "F_SETOWN");
            // With a signal of one's own comes the number of the descriptor, in si_fd.
            example::check(::fcntl(wanted.fd, F_SETSIG, ready_), "F_SETSIG");
            example::check(::fcntl(wanted.fd, F_SETFL, flags | O_ASYNC), "O_ASYNC");
        }
    }

    [[nodiscard]] const std::map<int, tftp::interest>& watched() const noexcept { return watched_; }

    /// Returns the descriptor a signal came for; -1 when the time is over, or a handler ran.
    [[nodiscard]] int next(int timeout_ms) {
        ::siginfo_t info{};
        const ::timespec time{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
        const int signal =
            timeout_ms < 0 ? ::sigwaitinfo(&taken_, &info) : ::sigtimedwait(&taken_, &info, &time);
        if (signal == ready_) {
            ++signals;
            return info.si_fd;
        }
        overflows += signal == SIGIO ? 1 : 0;
        return -1;
    }

    std::uint64_t signals = 0;
    std::uint64_t overflows = 0;

private:
    int ready_;
    ::sigset_t taken_{};
    std::map<int, tftp::interest> watched_;
};

/// Whether the descriptor is ready now: signals tell of arrivals only, and of old ones too.
short ready_events(const tftp::interest& wanted) {
    ::pollfd one{wanted.fd, 0, 0};
    one.events = static_cast<short>((wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0));
    return ::poll(&one, 1, 0) > 0 ? one.revents : short{0};
}

template <example::service Service>
class signal_server {
public:
    signal_server(Service& served, const example::stop_signal& stop)
        : served_(served), stop_(stop) {}

    void run() {
        // Its own signal ends the wait, whenever it comes.
        queue_.watch({stop_.fd(), true, false});
        take_changes();
        while (!stop_.asked()) {
            const std::uint64_t lost = queue_.overflows;
            const int fd = queue_.next(example::milliseconds_until(served_.deadline()));
            if (fd >= 0) {
                look_at(fd);
            } else if (queue_.overflows != lost) {
                const auto all = queue_.watched();
                for (const auto& each : all) {
                    look_at(each.first);
                }
            }
            example::meet_deadline(served_, tftp::clock::now());
            take_changes();
        }
        std::cout << queue_.signals << " signals, " << queue_.overflows << " overflows"
                  << std::endl;
    }

private:
    /// Serves a descriptor until nothing is left: no signal would come for the rest.
    void look_at(int fd) {
        while (!stop_.asked()) {
            const auto found = queue_.watched().find(fd);
            const short ready =
                found == queue_.watched().end() ? short{0} : ready_events(found->second);
            if (ready == 0) {
                return;
            }
            served_.on_ready(
                fd, (ready & ~POLLOUT) != 0, (ready & POLLOUT) != 0, tftp::clock::now()
            );
            take_changes();
        }
    }

    /// What is new may be ready already, before its signal was ordered.
    void take_changes() {
        std::vector<tftp::interest> changes;
        served_.changes(changes);
        for (const tftp::interest& each : changes) {
            queue_.watch(each);
        }
        for (const tftp::interest& each : changes) {
            look_at(each.fd);
        }
    }

    Service& served_;
    const example::stop_signal& stop_;
    signal_queue queue_;
};

int run(const example::arguments& given) {
    return example::serve_chosen(given, [](auto& served, const auto& stop) {
        signal_server(served, stop).run();
    });
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by signals of the descriptors.",
        example::server_arguments,
        run
    );
}
