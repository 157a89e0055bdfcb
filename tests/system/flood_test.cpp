#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/forged.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

/// A server under requests from addresses that never answer: 20,000 reads and 20,000 writes, of
/// each 5,000 with the largest block and window. Packets to 10.0.0.0/8 vanish without a word, as
/// those to a spoofed address do.
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t requests_of_each = 20'000;
constexpr std::size_t large_of_each = 5'000;
constexpr std::size_t requests_per_second = 10'000;
constexpr std::size_t memory_max = std::size_t{64} << 20;

void need_silent_network() {
    need_root();
    static const bool ready = [] {
        need(enter_daemon_network);
        need([] { add_link_pair("void0", "void1", {"arp", "off"}); });
        run_ip({"address", "add", "192.0.2.1/24", "dev", "void0"});
        run_ip({"link", "set", "void0", "up"});
        run_ip({"link", "set", "void1", "up"});
        run_ip({"route", "add", "10.0.0.0/8", "dev", "void0"});
        return true;
    }();
    REQUIRE(ready);
}

/// The n-th spoofed client.
tftp::endpoint spoofed(std::size_t n) {
    return tftp::endpoint::ipv4(
        10,
        static_cast<std::uint8_t>(n >> 16),
        static_cast<std::uint8_t>(n >> 8),
        static_cast<std::uint8_t>(n),
        static_cast<std::uint16_t>(1024 + n % 60'000)
    );
}

datagram request_of(std::size_t n) {
    const bool large = n / 2 % (requests_of_each / large_of_each) == 0;
    const option_pairs options =
        large ? option_pairs{{"blksize", "65464"}, {"windowsize", "65535"}} : option_pairs{};
    return n % 2 == 0 ? rrq("image", options) : wrq("upload" + std::to_string(n), options);
}

/// Sends the whole flood at an even pace, from a thread of its own.
class flood {
public:
    explicit flood(const tftp::endpoint& server)
        : begun_(steady::now()), thread_([this, server] { run(server); }) {}

    ~flood() { thread_.join(); }

    flood(const flood&) = delete;
    flood& operator=(const flood&) = delete;

    [[nodiscard]] bool running() const { return running_; }

    [[nodiscard]] std::chrono::duration<double> duration() const { return ended_ - begun_; }

private:
    void run(const tftp::endpoint& server) {
        for (std::size_t n = 0; n < 2 * requests_of_each; ++n) {
            const auto due = begun_ + n * 1'000'000us / requests_per_second;
            if (n % 20 == 0) {
                // The pace of the traffic, not a wait for something to happen.
                std::this_thread::sleep_until(due);
            }
            sender_.send(spoofed(n), server, request_of(n));
        }
        ended_ = steady::now();
        running_ = false;
    }

    forged_sender sender_;
    steady::time_point begun_;
    steady::time_point ended_;
    std::atomic<bool> running_ = true;
    std::thread thread_;
};

/// What the kernel says a process holds.
struct holdings {
    std::size_t descriptors = 0;
    std::size_t memory = 0;
    std::size_t memory_peak = 0;
    /// CPU time of all its threads so far.
    std::chrono::duration<double> cpu{};
};

std::size_t status_octets(pid_t process, const std::string& name) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    std::string word;
    while (status >> word) {
        if (word == name) {
            std::size_t kibibytes = 0;
            status >> kibibytes;
            return kibibytes * 1024;
        }
    }
    return 0;
}

std::chrono::duration<double> cpu_of(pid_t process) {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    // The name, in parentheses, may hold spaces; user and system time are the 14th and 15th word.
    std::getline(stat, text, ')');
    for (int word = 3; word < 14; ++word) {
        stat >> text;
    }
    double user = 0;
    double system = 0;
    stat >> user >> system;
    return std::chrono::duration<double>(
        (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK))
    );
}

holdings holdings_of(pid_t process) {
    const std::filesystem::path fds = "/proc/" + std::to_string(process) + "/fd";
    return {
        static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(fds), {})),
        status_octets(process, "RssAnon:"),
        status_octets(process, "VmHWM:"),
        cpu_of(process)};
}

/// One good download in lockstep, as most boot firmware does it.
struct download {
    std::chrono::duration<double> first_block{};
    std::chrono::duration<double> whole{};
};

class timing_sink final : public tftp::sink {
public:
    explicit timing_sink(std::size_t limit) : inner_(limit) {}

    [[nodiscard]] tftp::error_code reserve(std::uint64_t size) noexcept override {
        return inner_.reserve(size);
    }

    [[nodiscard]] tftp::error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        if (offset == 0) {
            first = steady::now();
        }
        return inner_.write(offset, payloads);
    }

    [[nodiscard]] tftp::error_code commit() noexcept override { return inner_.commit(); }

    [[nodiscard]] bool holds(std::string_view text) const {
        return std::ranges::equal(inner_.content(), std::as_bytes(std::span(text)));
    }

    steady::time_point first;

private:
    tftp::memory_sink inner_;
};

download
fetch_image(const tftp::endpoint& server, const std::string& content, const tftp::offer& options) {
    tftp::client_request asked;
    asked.options = tftp::no_options;
    asked.server = server;
    asked.filename = "image";
    asked.options = options;
    timing_sink into(content.size());
    const auto begun = steady::now();
    tftp::error_code failed;
    const auto summary = tftp::get(asked, into, failed);
    INFO(failed.message());
    REQUIRE_FALSE(failed);
    REQUIRE(into.holds(content));
    return {into.first - begun, steady::now() - begun};
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

} // namespace

TEST_CASE("a flood of half-open requests leaves room for good clients", "[system][tftpd][flood]") {
    need_silent_network();
    daemon_process daemon({"--writable", "create"}, {"192.0.2.1:0"});
    const std::string image = make_content(std::size_t{16} << 20, 1);
    write_file(daemon.root() / "image", image);
    const pid_t process = daemon.process().id();

    tftp::offer lockstep;
    lockstep.blksize = 1468;
    const tftp::offer window = tftp::default_offer(1468);
    // So many that each thread has served one.
    for (int i = 0; i < 24; ++i) {
        fetch_image(daemon.server(), image, window);
    }
    const holdings before = holdings_of(process);
    for (const tftp::offer& options : {lockstep, window}) {
        std::vector<double> quiet;
        for (int i = 0; i < 3; ++i) {
            quiet.push_back(fetch_image(daemon.server(), image, options).whole.count());
        }
        std::vector<double> flooded;
        double first_block = 0;
        const double cpu = cpu_of(process).count();
        {
            flood running(daemon.server());
            while (running.running()) {
                const download got = fetch_image(daemon.server(), image, options);
                first_block = std::max(first_block, got.first_block.count());
                flooded.push_back(got.whole.count());
            }
        }
        const holdings during = holdings_of(process);
        std::cout << (options.windowsize ? "window 64" : "lockstep") << ": quiet " << median(quiet)
                  << " s; in the flood " << median(flooded) << " s (median of " << flooded.size()
                  << "), first block within " << first_block << " s; descriptors "
                  << during.descriptors << ", peak memory " << during.memory_peak / 1024
                  << " KiB, CPU " << during.cpu.count() - cpu << " s" << std::endl;
        CHECK(first_block < 1);
        CHECK(median(flooded) <= 3 * median(quiet));
        // The flood was felt: as many transfers wait as may.
        CHECK(during.descriptors > 4000);
        CHECK(during.memory_peak < memory_max);
    }

    // Each of two threads keeps the socket that it asks for the MTU of a route. The flood has made
    // them touch more of their buffers, about a megabyte. The allocator's cache of each thread pins
    // scattered pages, up to another megabyte where a busy machine lets more threads of the pool
    // take part. A small object that is left for each of the requests would be found.
    const std::size_t descriptors_max = before.descriptors + 2;
    const std::size_t memory_after_max = before.memory + (std::size_t{3} << 20);
    // What never answers is given up, and then the file that was served; the server lives on.
    const auto limit = steady::now() + 60s;
    holdings after = holdings_of(process);
    while ((after.descriptors > descriptors_max || after.memory > memory_after_max) &&
           steady::now() < limit) {
        REQUIRE_FALSE(daemon.process().wait(500ms));
        after = holdings_of(process);
    }
    std::cout << "afterwards: descriptors " << before.descriptors << " -> " << after.descriptors
              << ", memory " << before.memory / 1024 << " -> " << after.memory / 1024 << " KiB"
              << std::endl;
    CHECK(after.descriptors <= descriptors_max);
    CHECK(after.memory <= memory_after_max);
    // Of all those uploads nothing was written.
    CHECK(std::distance(std::filesystem::directory_iterator(daemon.root()), {}) == 1);
    CHECK(daemon.serves());
}
