// Runs random schedules. A seed is a run: the same seed is the same run, on every machine.

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sim/random_schedule.hpp>
#include <string>
#include <string_view>

#include <signal.h>
#include <unistd.h>

namespace {

using namespace tftp::sim;

struct arguments {
    std::uint64_t first = 1;
    std::uint64_t seeds = 0;
    std::uint64_t seconds = 0;
    std::optional<std::uint64_t> seed;
    bool trace = false;
    /// Seeds that run first, one a line with a reason behind it.
    std::string replay;
    /// Where failing seeds are kept.
    std::string keep;
};

struct totals {
    std::uint64_t runs = 0;
    std::uint64_t failed = 0;
    std::uint64_t events = 0;
    std::uint64_t whole = 0;
    std::uint64_t expected_whole = 0;
};

volatile std::uint64_t running = 0;

/// An assertion of the engine ends the process: say with which seed.
extern "C" void on_trap(int number) {
    char text[64] = "\nassertion failed or crash: sim_swarm --trace --seed ";
    std::size_t used = std::string_view(text).size();
    char digits[24];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, std::uint64_t{running});
    for (const char* c = digits; c != end; ++c) {
        text[used++] = *c;
    }
    text[used++] = '\n';
    if (write(STDOUT_FILENO, text, used) < 0) {
        _exit(1);
    }
    signal(number, SIG_DFL);
    raise(number);
}

std::uint64_t number(const char* text) {
    std::uint64_t value = 0;
    const std::string_view all(text);
    const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), value);
    if (error != std::errc{} || end != all.data() + all.size()) {
        fmt::print(stderr, "not a number: {}\n", all);
        std::exit(2);
    }
    return value;
}

arguments parse(int argc, char** argv) {
    arguments a;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--trace") {
            a.trace = true;
            continue;
        }
        if (i + 1 == argc) {
            fmt::print(
                stderr,
                "usage: sim_swarm [--seeds N] [--first S] [--seconds T] [--seed N] [--trace]\n"
                "             [--replay FILE] [--keep FILE]\n"
            );
            std::exit(2);
        }
        const char* value = argv[++i];
        if (name == "--seeds") {
            a.seeds = number(value);
        } else if (name == "--first") {
            a.first = number(value);
        } else if (name == "--seconds") {
            a.seconds = number(value);
        } else if (name == "--seed") {
            a.seed = number(value);
        } else if (name == "--replay") {
            a.replay = value;
        } else if (name == "--keep") {
            a.keep = value;
        } else {
            fmt::print(stderr, "unknown option: {}\n", name);
            std::exit(2);
        }
    }
    return a;
}

void run_seed(std::uint64_t seed, const arguments& a, totals& sum) {
    running = seed;
    ++sum.runs;
    const schedule plan = random_schedule(seed);
    if (a.trace) {
        print(plan);
    }
    try {
        const report seen = run(plan, seed, a.trace);
        const bool whole = seen.receiver(plan).committed && !seen.receiver(plan).outcome.failed();
        sum.events += seen.events;
        sum.whole += whole ? 1U : 0U;
        if (must_arrive(plan)) {
            ++sum.expected_whole;
            require(whole, "the content did not arrive, though there was little trouble");
        }
    } catch (const violation& v) {
        ++sum.failed;
        fmt::print("seed {}: {}\n  replay: sim_swarm --seed {} --trace\n", seed, v.what(), seed);
        if (!a.keep.empty()) {
            std::ofstream(a.keep, std::ios::app) << seed << ' ' << v.what() << '\n';
        }
    }
}

void replay(const arguments& a, totals& sum) {
    std::ifstream file(a.replay);
    if (!file) {
        fmt::print(stderr, "cannot read {}\n", a.replay);
        std::exit(2);
    }
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line.front() != '#') {
            run_seed(number(line.substr(0, line.find(' ')).c_str()), a, sum);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    const arguments a = parse(argc, argv);
    for (const int n : {SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGFPE}) {
        signal(n, on_trap);
    }
    totals sum;
    const auto began = std::chrono::steady_clock::now();
    const auto elapsed = [began] { return std::chrono::steady_clock::now() - began; };
    if (a.seed) {
        run_seed(*a.seed, a, sum);
    }
    if (!a.replay.empty()) {
        replay(a, sum);
    }
    for (std::uint64_t i = 0; i < a.seeds; ++i) {
        run_seed(a.first + i, a, sum);
    }
    if (a.seconds != 0) {
        const auto fresh =
            static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
        fmt::print("fresh seeds from {}\n", fresh);
        const auto until = elapsed() + std::chrono::seconds(a.seconds);
        for (std::uint64_t i = 0; elapsed() < until; ++i) {
            run_seed(fresh + i, a, sum);
        }
    }
    fmt::print(
        "{} schedules, {} failed, {} whole ({} had to be), {} events, {:.1f} s\n",
        sum.runs,
        sum.failed,
        sum.whole,
        sum.expected_whole,
        sum.events,
        std::chrono::duration<double>(elapsed()).count()
    );
    return sum.failed == 0 ? 0 : 1;
}
