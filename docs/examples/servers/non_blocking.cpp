// Shows: why not to poll by hand. One thread asks every descriptor, again and again, whether there
// is something: each question is a system call that says "no" (EAGAIN) nearly always, and a
// processor is busy for it even when nobody speaks.
//
// Run:     non_blocking --service echo --listen 127.0.0.1:7007
//          top -p $(pidof non_blocking)
// Observe: 100 % of a processor without a single client; with --nap less, and every answer comes
//          later by half of it. Ctrl-C shows how many questions one answer took.
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"

#include <tftp/base/time.hpp>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

#include <sys/socket.h>

namespace {

/// Whether a read would find something: a datagram, bytes, the end of a connection, an error.
/// A listening socket has nothing to peek at: accept() itself has to be tried.
bool may_read(int fd) {
    char octet = 0;
    return ::recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void serve(
    example::service auto& served, const example::stop_signal& stop, std::chrono::microseconds nap
) {
    std::map<int, tftp::interest> watched;
    std::vector<tftp::interest> changes;
    std::uint64_t questions = 0;
    std::uint64_t answers = 0;
    while (!stop.asked()) {
        served.changes(changes);
        for (const tftp::interest& each : changes) {
            watched[each.fd] = each;
            if (!each.read && !each.write) {
                watched.erase(each.fd);
            }
        }
        changes.clear();
        for (const auto& [fd, wanted] : watched) {
            ++questions;
            // There is no question for "may I write?" but to try.
            if (wanted.write || may_read(fd)) {
                ++answers;
                served.on_ready(fd, wanted.read, wanted.write, tftp::clock::now());
            }
        }
        example::meet_deadline(served, tftp::clock::now());
        if (nap.count() > 0) {
            std::this_thread::sleep_for(nap);
        }
    }
    std::cout << questions << " questions for " << answers << " answers" << std::endl;
}

int run(const example::arguments& given) {
    const std::chrono::microseconds nap(given.number("--nap", 0, 1'000'000));
    return example::serve_chosen(given, [nap](auto& served, const auto& stop) {
        serve(served, stop, nap);
    });
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by asking each descriptor in turn.",
        {
            {"--service", "echo (TCP) or tftp", "echo"},
            {"--listen", "ADDRESS:PORT; port 0 takes a free one", "127.0.0.1:0"},
            {"--root", "directory that TFTP serves", "."},
            {"--nap", "microseconds of sleep after each round", "0"},
        },
        run
    );
}
