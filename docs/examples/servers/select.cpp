// Shows: one thread that waits by select(2), the oldest way: three bit maps of descriptors, that
// the kernel overwrites with those that are ready. A descriptor number above FD_SETSIZE - 1 does
// not fit: FD_SET would write behind the map. Here such a client is turned away, and that is said.
//
// Run:     select --service echo --listen 127.0.0.1:7007     (type quit to end it)
//          many_clients 127.0.0.1:7007 --connections 1100
// Observe: standard input is one of the descriptors, so typing stops the server; the client number
//          1,019 or so is turned away: "descriptor 1024 does not fit".
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"

#include <tftp/base/time.hpp>

#include <array>
#include <cstddef>
#include <iostream>
#include <set>
#include <string_view>
#include <vector>

#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

/// The maps that each wait starts from, and the highest number in them.
class select_set {
public:
    select_set() {
        FD_ZERO(&reads_);
        FD_ZERO(&writes_);
    }

    void watch(const tftp::interest& wanted) {
        if (wanted.fd >= FD_SETSIZE) {
            refuse(wanted);
            return;
        }
        wanted.read ? FD_SET(wanted.fd, &reads_) : FD_CLR(wanted.fd, &reads_);
        wanted.write ? FD_SET(wanted.fd, &writes_) : FD_CLR(wanted.fd, &writes_);
        if (wanted.read || wanted.write) {
            watched_.insert(wanted.fd);
        } else {
            watched_.erase(wanted.fd);
        }
    }

    struct ready {
        int fd;
        bool read;
        bool write;
    };

    /// timeout_ms: -1 for ever.
    [[nodiscard]] std::vector<ready> wait(int timeout_ms) {
        std::vector<ready> out;
        ::fd_set reads = reads_;
        ::fd_set writes = writes_;
        ::timeval time{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
        const int highest = watched_.empty() ? 0 : *watched_.rbegin();
        const int count =
            ::select(highest + 1, &reads, &writes, nullptr, timeout_ms < 0 ? nullptr : &time);
        if (count <= 0) {
            // Time is over, or a signal came; the maps mean nothing then.
            return out;
        }
        for (const int fd : watched_) {
            const bool read = FD_ISSET(fd, &reads) != 0;
            const bool write = FD_ISSET(fd, &writes) != 0;
            if (read || write) {
                out.push_back({fd, read, write});
            }
        }
        return out;
    }

private:
    /// A client whose descriptor does not fit hears the end of its connection: the service gets
    /// that as well, when it is asked to read, and forgets it.
    static void refuse(const tftp::interest& wanted) {
        if (wanted.read || wanted.write) {
            std::cout << "descriptor " << wanted.fd << " does not fit: FD_SETSIZE is " << FD_SETSIZE
                      << std::endl;
            ::shutdown(wanted.fd, SHUT_RDWR);
        }
    }

    ::fd_set reads_{};
    ::fd_set writes_{};
    std::set<int> watched_;
};

/// Reads what was typed. Returns false for "quit"; the end of the input (^D) is no end of the
/// server, but there is nothing more to wait for.
bool go_on(select_set& set) {
    std::array<char, 256> typed{};
    const ::ssize_t size = ::read(STDIN_FILENO, typed.data(), typed.size());
    if (size <= 0) {
        set.watch({STDIN_FILENO, false, false});
        return true;
    }
    return !std::string_view(typed.data(), static_cast<std::size_t>(size)).starts_with("quit");
}

void serve(example::service auto& served, const example::stop_signal& stop) {
    select_set set;
    set.watch({stop.fd(), true, false});
    set.watch({STDIN_FILENO, true, false});
    std::vector<tftp::interest> changes;
    for (bool more = true; more && !stop.asked();) {
        served.changes(changes);
        const tftp::time_point now = tftp::clock::now();
        for (const tftp::interest& each : changes) {
            set.watch(each);
            if (each.fd >= FD_SETSIZE && each.read) {
                served.on_ready(each.fd, true, false, now);
            }
        }
        changes.clear();
        for (const auto& each : set.wait(example::milliseconds_until(served.deadline()))) {
            if (each.fd == STDIN_FILENO) {
                more = go_on(set);
            } else {
                served.on_ready(each.fd, each.read, each.write, tftp::clock::now());
            }
        }
        example::meet_deadline(served, tftp::clock::now());
    }
}

int run(const example::arguments& given) {
    return example::serve_chosen(given, [](auto& served, const auto& stop) {
        serve(served, stop);
    });
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by select(2); the line \"quit\" ends it.",
        example::server_arguments,
        run
    );
}
