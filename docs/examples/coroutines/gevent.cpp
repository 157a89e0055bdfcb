// Shows: gevent's way: spawn functions that look as if they blocked, and join them all. Each sleep
// gives the thread to the others.
//
// Run:     gevent --tasks 10 --longest 100
// Observe: ten tasks sleep for up to 100 ms each, and all have ended after as much as the longest
// one
//          took, in one thread.
//
// See docs/examples/README.md.

#include "common/gevent.hpp"

#include "common/program.hpp"

#include <chrono>
#include <cstdint>
#include <iostream>

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

int run(const example::arguments& given) {
    const std::uint64_t tasks = given.number("--tasks", 1, 10'000);
    const milliseconds longest(given.number("--longest", 0, 10'000));
    const example::stop_signal stop;
    example::hub hub;
    milliseconds slept{0};
    const auto begun = tftp::clock::now();
    for (std::uint64_t i = 1; i <= tasks; ++i) {
        hub.spawn([&hub, &slept, i, tasks, longest] {
            const milliseconds own = longest * i / tasks;
            std::cout << "task " << i << " sleeps for " << own.count() << " ms\n";
            hub.sleep(own);
            slept += own;
            std::cout << "task " << i << " ends\n";
        });
    }
    hub.join_all(stop);
    const auto took = duration_cast<milliseconds>(tftp::clock::now() - begun);
    std::cout << "slept " << slept.count() << " ms in all, within " << took.count() << " ms\n";
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Many tasks sleep at the same time in one thread.",
        {{"--tasks", "how many", "10"}, {"--longest", "milliseconds of the last one", "100"}},
        run
    );
}
