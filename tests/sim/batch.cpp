#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sim/batch.hpp>
#include <sim/journal.hpp>
#include <string_view>
#include <system_error>

#include <signal.h>
#include <unistd.h>

namespace tftp::sim {

namespace {

constexpr const char* help =
    R"(usage: {0} [--seeds N] [--first S] [--seconds T] [--replay FILE] [--keep FILE]
       {0} --seed N [--trace] [--pcap FILE]

Runs simulated schedules in virtual time. A seed is a schedule: the same on each machine.

  --seeds N      run N seeds, from --first on
  --first S      the first of them; 1 if not given
  --seconds T    run fresh seeds for T seconds, and print where they begin
  --seed N       run this seed
  --replay FILE  run the seeds of FILE first, one a line
  --keep FILE    add the seeds that fail to FILE
  --trace        print each packet and event
  --pcap FILE    write the packets of the one --seed to FILE, for tshark and Wireshark

A record of FILE is one datagram at the moment it leaves its sender, also when the network loses it
later; the copies that the network makes have none. Each line of --trace with -> is a record, except
those "lost in the kernel". Times are those of --trace. ICMP is not recorded.

Exit codes: 0 all rules held, 1 a rule was broken, 2 wrong usage or a file that cannot be used.
)";

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

[[noreturn]] void fail_capture(const std::string& path, int error) {
    const std::string why = std::system_category().message(error);
    fmt::print(stderr, "{}: cannot write {}: {}\n", name, path, why);
    std::exit(2);
}

void run_seed(
    std::uint64_t seed,
    const batch_arguments& a,
    const run_function& run,
    batch_result& sum,
    pcap_writer* capture = nullptr
) {
    running = seed;
    ++sum.runs;
    try {
        run(seed, a.trace, capture);
    } catch (const violation& v) {
        ++sum.failed;
        fmt::print("seed {}: {}\n  replay: {} --seed {} --trace\n", seed, v.what(), name, seed);
        if (!a.keep.empty()) {
            std::ofstream(a.keep, std::ios::app) << seed << ' ' << v.what() << '\n';
        }
    }
}

/// Runs one seed and records its datagrams.
void run_captured(
    std::uint64_t seed, const batch_arguments& a, const run_function& run, batch_result& sum
) {
    std::optional<pcap_writer> capture;
    try {
        capture.emplace(*a.pcap);
    } catch (const std::system_error& e) {
        fail_capture(*a.pcap, e.code().value());
    }
    run_seed(seed, a, run, sum, &*capture);
    if (const int error = capture->close(); error != 0) {
        fail_capture(*a.pcap, error);
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
        if (option == "--help") {
            fmt::print(help, program);
            std::exit(0);
        }
        if (i + 1 == argc) {
            fmt::print(stderr, "{}: {} is unknown or needs a value; see --help\n", program, option);
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
        } else if (option == "--pcap") {
            a.pcap = value;
        } else {
            fmt::print(stderr, "unknown option: {}\n", option);
            std::exit(2);
        }
    }
    if (a.pcap && (!a.seed || a.seeds != 0 || a.seconds != 0 || !a.replay.empty())) {
        fmt::print(stderr, "{}: --pcap needs --seed, and no other seeds\n", program);
        std::exit(2);
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
    if (a.seed && !a.pcap) {
        run_seed(*a.seed, a, run, sum);
    } else if (a.seed) {
        run_captured(*a.seed, a, run, sum);
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
