#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sim/batch.hpp>
#include <sim/journal.hpp>
#include <string_view>

#include <signal.h>
#include <unistd.h>

namespace tftp::sim {

namespace {

using run_function = std::function<void(std::uint64_t, bool)>;

volatile std::uint64_t running = 0;
const char* name = "";

void say(std::string_view text) noexcept {
    if (write(STDOUT_FILENO, text.data(), text.size()) < 0) {
        _exit(1);
    }
}

/// An assertion ends the process: say with which seed.
extern "C" void on_trap(int number) {
    char digits[24];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, std::uint64_t{running});
    say("\nassertion failed or crash: ");
    say(name);
    say(" --trace --seed ");
    say({digits, static_cast<std::size_t>(end - digits)});
    say("\n");
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

void run_seed(
    std::uint64_t seed, const batch_arguments& a, const run_function& run, batch_result& sum
) {
    running = seed;
    ++sum.runs;
    try {
        run(seed, a.trace);
    } catch (const violation& v) {
        ++sum.failed;
        fmt::print("seed {}: {}\n  replay: {} --seed {} --trace\n", seed, v.what(), name, seed);
        if (!a.keep.empty()) {
            std::ofstream(a.keep, std::ios::app) << seed << ' ' << v.what() << '\n';
        }
    }
}

void replay(const batch_arguments& a, const run_function& run, batch_result& sum) {
    std::ifstream file(a.replay);
    if (!file) {
        fmt::print(stderr, "cannot read {}\n", a.replay);
        std::exit(2);
    }
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line.front() != '#') {
            run_seed(number(line.substr(0, line.find(' ')).c_str()), a, run, sum);
        }
    }
}

} // namespace

batch_arguments parse_batch(const char* program, int argc, char** argv) {
    batch_arguments a;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--trace") {
            a.trace = true;
            continue;
        }
        if (i + 1 == argc) {
            fmt::print(
                stderr,
                "usage: {} [--seeds N] [--first S] [--seconds T] [--seed N] [--trace]\n"
                "       [--replay FILE] [--keep FILE]\n",
                program
            );
            std::exit(2);
        }
        const char* value = argv[++i];
        if (option == "--seeds") {
            a.seeds = number(value);
        } else if (option == "--first") {
            a.first = number(value);
        } else if (option == "--seconds") {
            a.seconds = number(value);
        } else if (option == "--seed") {
            a.seed = number(value);
        } else if (option == "--replay") {
            a.replay = value;
        } else if (option == "--keep") {
            a.keep = value;
        } else {
            fmt::print(stderr, "unknown option: {}\n", option);
            std::exit(2);
        }
    }
    return a;
}

batch_result run_batch(const char* program, const batch_arguments& a, const run_function& run) {
    name = program;
    for (const int n : {SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGFPE}) {
        signal(n, on_trap);
    }
    if (a.trace) {
        // An assertion must not take the last lines with it.
        setvbuf(stdout, nullptr, _IOLBF, 0);
    }
    batch_result sum;
    const auto began = std::chrono::steady_clock::now();
    const auto elapsed = [began] { return std::chrono::steady_clock::now() - began; };
    if (a.seed) {
        run_seed(*a.seed, a, run, sum);
    }
    if (!a.replay.empty()) {
        replay(a, run, sum);
    }
    for (std::uint64_t i = 0; i < a.seeds; ++i) {
        run_seed(a.first + i, a, run, sum);
    }
    if (a.seconds != 0) {
        const auto fresh =
            static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
        fmt::print("fresh seeds from {}\n", fresh);
        const auto until = elapsed() + std::chrono::seconds(a.seconds);
        for (std::uint64_t i = 0; elapsed() < until; ++i) {
            run_seed(fresh + i, a, run, sum);
        }
    }
    sum.seconds = std::chrono::duration<double>(elapsed()).count();
    return sum;
}

} // namespace tftp::sim
