// bench_disk: mounts a disk with one file, each read of which takes a fixed time, until its
// standard input ends. Tells on its standard output when it is mounted, that it is used, and at the
// end how many reads there were.
#include "support/files.hpp"
#include "support/fuse_disk.hpp"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include <unistd.h>

namespace {

/// Until somebody reads.
constexpr std::chrono::seconds read_limit{20};

[[nodiscard]] std::chrono::milliseconds delay_of(std::string_view text) {
    unsigned out = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
        throw std::invalid_argument("milliseconds are a number");
    }
    return std::chrono::milliseconds(out);
}

} // namespace

/// Exit status: 0, or 2 when it cannot mount.
int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: bench_disk DIRECTORY CONTENT MILLISECONDS\n");
        return 2;
    }
    try {
        tftp::test::fuse_disk disk(argv[1], tftp::test::read_file(argv[2]));
        disk.slow_down(delay_of(argv[3]));
        std::puts("mounted");
        std::fflush(stdout);
        std::puts(disk.wait_for_read(read_limit) ? "used" : "not used");
        std::fflush(stdout);
        for (char octet = 0; ::read(STDIN_FILENO, &octet, 1) > 0;) {
        }
        std::printf("%llu\n", static_cast<unsigned long long>(disk.reads()));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_disk: %s\n", error.what());
        return 2;
    }
}
