// Shows: one thread that waits for many descriptors by poll(2): an array of what to watch, handed
// to the kernel anew for each wait, and looked through for what is ready after each.
//
// Run:     poll --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000
// Observe: any number of clients in one thread; with thousands that are silent each wait costs as
//          much as if they spoke. Compare with select, which has a wall, and epoll, which has not
//          that cost.
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"

#include <tftp/base/time.hpp>

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include <poll.h>

namespace {

/// What poll is given: the entries in no order, and where each descriptor has its own.
class poll_set {
public:
    void watch(const tftp::interest& wanted) {
        const auto events =
            static_cast<short>((wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0));
        const auto found = places_.find(wanted.fd);
        if (found == places_.end()) {
            if (events != 0) {
                places_[wanted.fd] = entries_.size();
                entries_.push_back({wanted.fd, events, 0});
            }
        } else if (events != 0) {
            entries_[found->second].events = events;
        } else {
            // The last one takes its place.
            entries_[found->second] = entries_.back();
            places_[entries_.back().fd] = found->second;
            entries_.pop_back();
            places_.erase(wanted.fd);
        }
    }

    /// Returns a copy of the entries that are ready: the set changes while they are served.
    [[nodiscard]] std::vector<::pollfd> wait(int timeout_ms) {
        std::vector<::pollfd> ready;
        // -1 with EINTR is a signal: nothing is ready then.
        if (::poll(entries_.data(), entries_.size(), timeout_ms) > 0) {
            std::copy_if(
                entries_.begin(),
                entries_.end(),
                std::back_inserter(ready),
                [](const auto& e) { return e.revents != 0; }
            );
        }
        return ready;
    }

private:
    std::vector<::pollfd> entries_;
    std::unordered_map<int, std::size_t> places_;
};

void serve(example::service auto& served, const example::stop_signal& stop) {
    poll_set set;
    set.watch({stop.fd(), true, false});
    std::vector<tftp::interest> changes;
    while (!stop.asked()) {
        served.changes(changes);
        for (const tftp::interest& each : changes) {
            set.watch(each);
        }
        changes.clear();
        const auto ready = set.wait(example::milliseconds_until(served.deadline()));
        const tftp::time_point now = tftp::clock::now();
        for (const ::pollfd& each : ready) {
            // An error is what the next read tells.
            const bool readable = (each.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
            served.on_ready(each.fd, readable, (each.revents & POLLOUT) != 0, now);
        }
        example::meet_deadline(served, now);
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
        argc, argv, "Serves many clients in one thread by poll(2).", example::server_arguments, run
    );
}
