// Shows: explicit switching between stackful contexts, as greenlets of Python do: each has a stack
// of its own, and gives control away in the middle of a function that another function called. A
// generator can yield only in its own body.
//
// Run:     greenlet --depth 3
// Observe: the recursion goes down in one context while the other goes on in between; then both
// come
//          up again, each on its own stack.
//
// See docs/examples/README.md.

#include "common/greenlet.hpp"

#include "common/program.hpp"

#include <cstdint>
#include <iostream>
#include <string>

namespace {

/// Goes down `depth` levels, and up again, with a switch on each.
void walk(example::greenlet& self, const std::string& name, std::uint64_t depth) {
    std::cout << name << " down " << depth << '\n';
    self.back();
    if (depth > 0) {
        walk(self, name, depth - 1);
    }
    std::cout << name << " up " << depth << '\n';
    self.back();
}

int run(const example::arguments& given) {
    const std::uint64_t depth = given.number("--depth", 0, 100);
    example::greenlet left([depth](example::greenlet& self) { walk(self, "left", depth); });
    example::greenlet right([depth](example::greenlet& self) { walk(self, "right", depth); });
    std::uint64_t switches = 0;
    while (!left.ended() || !right.ended()) {
        for (example::greenlet* const each : {&left, &right}) {
            if (!each->ended()) {
                each->go_on();
                ++switches;
            }
        }
    }
    std::cout << switches << " switches\n";
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Two stackful contexts switch to each other.",
        {{"--depth", "levels of the recursion", "2"}},
        run
    );
}
