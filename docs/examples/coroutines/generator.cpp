// Shows: a generator, the simplest coroutine: a function that yields values one by one and keeps
// its place in between. Two of them take turns in one thread, without a line about the other in
// either.
//
// Run:     generator --count 3
// Observe: the lines of "ping" and "pong" alternate; the sum is made while both go on.
//
// See docs/examples/README.md.

#include "common/generator.hpp"

#include "common/program.hpp"

#include <cstdint>
#include <iostream>
#include <string>

namespace {

/// Counts, and says so. Its loop goes on where it stopped, with its variables.
example::generator<std::uint64_t> count_to(std::string name, std::uint64_t last) {
    for (std::uint64_t i = 1; i <= last; ++i) {
        std::cout << name << ' ' << i << '\n';
        co_yield i;
    }
    std::cout << name << " ends\n";
}

int run(const example::arguments& given) {
    const std::uint64_t last = given.number("--count", 0, 1'000'000);
    auto ping = count_to("ping", last);
    auto pong = count_to("pong", last);
    std::uint64_t sum = 0;
    // This is the scheduler: each runs until it yields, then the other.
    for (bool ping_goes_on = true, pong_goes_on = true; ping_goes_on || pong_goes_on;) {
        if (ping_goes_on && (ping_goes_on = ping.next())) {
            sum += ping.value();
        }
        if (pong_goes_on && (pong_goes_on = pong.next())) {
            sum += pong.value();
        }
    }
    std::cout << "sum " << sum << '\n';
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Two generators take turns.", {{"--count", "numbers of each", "3"}}, run
    );
}
