#include "support/files.hpp"
#include "support/process.hpp"
#include "system/daemon.hpp"
#include "system/slow_peer.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

/// Peers that are merely slow, at both programs and in both directions: nothing is repeated to them
/// that they have. All of them at the same time, because they do nothing but take theirs.
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using std::chrono::microseconds;

/// How slow, and what that may cost.
struct slow_case {
    slowness how;
    std::size_t repeats_max = 0;
    /// From this block on nothing is repeated any more.
    unsigned learned = ~0U;
};

slowness constant(std::uint16_t window, std::uint16_t blocks, microseconds each, bool first_fast) {
    return {
        std::to_string(each / 1ms) + " ms a block, window " + std::to_string(window) +
            (first_fast ? ", first answer fast" : ""),
        window,
        blocks,
        [=](unsigned block) { return block <= 1 && first_fast ? 0us : each; },
        each};
}

/// `stall` behind every `every` blocks, else half a millisecond.
slowness
stalling(std::uint16_t window, std::uint16_t blocks, microseconds stall, std::uint16_t every) {
    return {
        std::to_string(stall / 1ms) + " ms every " + std::to_string(every) + " blocks, window " +
            std::to_string(window),
        window,
        blocks,
        [=](unsigned block) { return block > 1 && block % every == 1 ? stall : 500us; },
        500us};
}

slowness jitter(std::uint16_t window, std::uint16_t blocks) {
    std::mt19937 random(window);
    std::vector<microseconds> times;
    for (unsigned block = 0; block <= blocks + 1U; ++block) {
        times.push_back(std::uniform_int_distribution(1, 30)(random) * 1ms);
    }
    return {
        "1 to 30 ms, window " + std::to_string(window),
        window,
        blocks,
        [=](unsigned block) { return times.at(block); },
        1ms};
}

slowness becoming_slower(std::uint16_t window) {
    return {
        "1 ms, then 60 ms an answer, window " + std::to_string(window),
        window,
        300,
        [=](unsigned block) { return microseconds(block < 240 ? 1000 : 60'000) / window; },
        1ms};
}

std::vector<slow_case> slow_cases() {
    std::vector<slow_case> all{
        {constant(1, 60, 40ms, false)},
        {constant(4, 160, 15ms, false)},
        {constant(1, 100, 25ms, true)},
        {constant(64, 500, 5ms, false)},
        {constant(1, 300, 5ms, true)},
        {constant(64, 64, 40ms, true)},
        {constant(4, 12, 300ms, true)},
        {constant(1, 5, 700ms, true)},
        {constant(1, 4, 700ms, false)},
        {stalling(1, 1280, 300ms, 128), 6},
        {stalling(4, 1280, 300ms, 128), 6},
        {stalling(64, 1280, 300ms, 128), 6},
        {jitter(1, 250), 2},
        {becoming_slower(1), 6},
        {becoming_slower(4), 6},
    };
    for (const auto window : std::initializer_list<std::uint16_t>{1, 4, 64}) {
        all.push_back({stalling(window, 700, 1500ms, 256), 3, 500});
    }
    return all;
}

/// Moves what `begin` makes of each case, all at the same time.
template <class Begin>
void check_all(Begin begin) {
    const std::vector<slow_case> cases = slow_cases();
    std::vector<seen_slowly> seen(cases.size());
    std::vector<std::thread> running;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        running.emplace_back([&seen, i, move = begin(cases[i].how)] { seen[i] = move(); });
    }
    for (std::thread& each : running) {
        each.join();
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const slow_case& each = cases[i];
        const std::size_t repeats = seen[i].repeats.size();
        const double ideal = each.how.ideal().count();
        INFO(
            each.how.name << ": " << repeats << " repeats, " << seen[i].elapsed.count()
                          << " s, ideal " << ideal << " s, late by " << seen[i].late.count()
                          << " s, far too late " << seen[i].far_too_late
                          << " times; repeated behind " << Catch::Detail::stringify(seen[i].repeats)
        );
        CHECK(seen[i].whole);
        CHECK(repeats <= each.repeats_max + seen[i].far_too_late);
        CHECK(repeats - seen[i].repeats_before(each.learned) <= seen[i].far_too_late);
        CHECK(seen[i].elapsed.count() <= ideal * 1.05 + seen[i].late.count() + 0.3);
    }
}

/// Options of tftp for a peer that knows windows only where it has to.
std::vector<std::string> options_for(const slowness& how) {
    if (how.window == 1) {
        return {"--no-options"};
    }
    return {"--blksize", "512", "--windowsize", std::to_string(how.window)};
}

/// tftp, and the slow server that it talks to.
struct served {
    served(const std::string& verb, const slowness& how, const std::vector<std::string>& files) {
        command what = command_of({TFTP_TFTP_PROGRAM, verb, "--quiet"});
        for (const auto& each : {options_for(how), {tftp::to_string(server.local())}, files}) {
            what.argv.insert(what.argv.end(), each.begin(), each.end());
        }
        client.emplace(what);
    }

    /// Returns what the server saw; whole when tftp says so, too.
    seen_slowly run(const slowness& how) {
        seen_slowly seen = serve_slowly(server, how);
        seen.whole = seen.whole && client->wait(daemon_limit) == 0;
        return seen;
    }

    udp_client server;
    std::optional<child_process> client;
};

} // namespace

TEST_CASE("tftpd sends a slow client each block once", "[system][tftpd][slow]") {
    daemon_process daemon;
    for (const slow_case& each : slow_cases()) {
        write_file(daemon.root() / each.how.name, content_of(each.how));
    }
    check_all([&](const slowness& how) {
        return [&how, server = daemon.server()] {
            seen_slowly seen = get_slowly(server, how);
            seen.whole = seen.whole && seen.content == content_of(how);
            return seen;
        };
    });
}

TEST_CASE("tftpd acknowledges to a slow client once", "[system][tftpd][slow]") {
    daemon_process daemon({"--writable", "existing", "--fsync", "no"});
    for (const slow_case& each : slow_cases()) {
        write_file(daemon.root() / each.how.name, "");
    }
    check_all([&](const slowness& how) {
        return [&how, &daemon, server = daemon.server()] {
            seen_slowly seen = put_slowly(server, how);
            seen.whole = seen.whole && holds(daemon.root() / how.name, content_of(how));
            return seen;
        };
    });
}

TEST_CASE("tftp sends a slow server each block once", "[system][tftp][slow]") {
    const temp_dir here;
    for (const slow_case& each : slow_cases()) {
        write_file(here.path() / each.how.name, content_of(each.how));
    }
    check_all([&](const slowness& how) {
        const std::vector<std::string> files{(here.path() / how.name).string()};
        return [&how, both = std::make_unique<served>("put", how, files)] {
            seen_slowly seen = both->run(how);
            seen.whole = seen.whole && seen.content == content_of(how);
            return seen;
        };
    });
}

TEST_CASE("tftp acknowledges to a slow server once", "[system][tftp][slow]") {
    const temp_dir here;
    check_all([&](const slowness& how) {
        const std::string file = (here.path() / how.name).string();
        const std::vector<std::string> files{how.name, "-o", file};
        return [&how, file, both = std::make_unique<served>("get", how, files)] {
            seen_slowly seen = both->run(how);
            seen.whole = seen.whole && holds(file, content_of(how));
            return seen;
        };
    });
}
