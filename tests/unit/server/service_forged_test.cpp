#include "support/builders.hpp"
#include "support/sim_world.hpp"

#include <tftp/server/shard.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// What somebody who forges addresses has a server send to a victim, and to another server.
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// What a datagram takes on an Ethernet beside its payload.
constexpr std::size_t overhead = 14 + 20 + 8;

struct mode {
    tid_mode how = tid_mode::exclusive;
    /// Ports that somebody has to try who wants to hit that of a transfer.
    std::size_t ports = 0;
    /// Largest factor that is promised.
    std::size_t factor = 0;
};

service_config config_of(const mode& m) {
    service_config config = sim_config();
    config.tids = m.how;
    config.options.blksize = blksize_max;
    if (m.how == tid_mode::exclusive) {
        config.ports_to_guess = m.ports;
    }
    return config;
}

std::size_t number_of(const sim_datagram& d) {
    return std::to_integer<std::size_t>(d.octets[2]) << 8 |
           std::to_integer<std::size_t>(d.octets[3]);
}

} // namespace

TEST_CASE("a forged ACK 0 draws no more than is promised", "[driver][service][reflection]") {
    const mode m = GENERATE(
        mode{tid_mode::exclusive, 28232, 2},
        mode{tid_mode::exclusive, 1000, 5},
        mode{tid_mode::pooled, 64, 50},
        mode{tid_mode::single, 1, 100}
    );
    const std::string blksize = GENERATE("8", "512", "1428", "1468", "8192", "65464");
    const std::string windowsize = GENERATE("1", "4", "16", "64", "65535");
    sim_world w(config_of(m));
    w.files.set("image.bin", std::string(std::size_t{20} << 20, 'x'));
    const auto victim = w.peer();
    const datagram request =
        rrq("image.bin", {{"blksize", blksize}, {"windowsize", windowsize}, {"tsize", "0"}});
    w.say(*victim, request);
    const auto answer = victim->take();
    REQUIRE(answer);
    std::size_t drawn = answer->octets.size() + overhead;
    std::size_t largest = 0;
    // The victim says nothing; the ACKs to all ports but one are lost.
    w.network.transmit(*victim, answer->from, ack(0));
    const auto count = [&] {
        while (const auto came = victim->take()) {
            drawn += came->octets.size() + overhead;
            largest = std::max(largest, came->octets[1] == std::byte{3} ? number_of(*came) : 0);
        }
    };
    w.settle();
    count();
    const std::size_t first = drawn;
    // What is sent again is the engine's to bound: two windows in all, or eight blocks.
    const std::size_t block =
        largest == 0 ? 0 : (drawn - answer->octets.size() - overhead) / largest;
    drawn = first + std::max(largest, unproven_repeats) * block;
    const std::size_t sent = request.size() + overhead + m.ports * (4 + overhead);
    INFO(
        blksize << " x " << windowsize << ", " << m.ports << " ports: " << drawn << " of " << sent
    );
    CHECK(drawn < m.factor * sent);
    CHECK(largest <= (m.how == tid_mode::exclusive ? 256 : shared_window_max));
}

TEST_CASE("a window is granted as it is asked for where that is safe", "[driver][service]") {
    struct row {
        mode m;
        const char* blksize;
        const char* granted;
    };

    const auto r = GENERATE(
        row{{tid_mode::exclusive, 28232, 0}, "1468", "64"},
        row{{tid_mode::exclusive, 28232, 0}, "8192", "64"},
        row{{tid_mode::exclusive, 28232, 0}, "65464", "9"},
        row{{tid_mode::exclusive, 1000, 0}, "1468", "36"},
        row{{tid_mode::pooled, 64, 0}, "1468", "16"},
        row{{tid_mode::single, 1, 0}, "1024", "4"},
        row{{tid_mode::single, 1, 0}, "512", "11"}
    );
    sim_world w(config_of(r.m));
    w.files.set("file", std::string(1'000'000, 'x'));
    const auto client = w.peer();
    const option_pairs asked{{"blksize", r.blksize}, {"windowsize", "64"}};
    w.say(*client, rrq("file", asked));
    expect(*client, oack({{"blksize", r.blksize}, {"windowsize", r.granted}}));
}

TEST_CASE("a window is as large as the administrator says", "[driver][service]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    service_config config = config_of({how, 1000, 0});
    config.bound_windows = false;
    config.bound_blksize = false;
    sim_world w(config);
    w.files.set("file", std::string(1'000'000, 'x'));
    const auto client = w.peer();
    const option_pairs asked{{"blksize", "8192"}, {"windowsize", "64"}};
    w.say(*client, rrq("file", asked));
    expect(*client, oack(asked));
}

TEST_CASE("what was never acknowledged is owed by its address", "[driver][service][reflection]") {
    service_config config = config_of({tid_mode::single, 1, 0});
    config.bound_windows = false;
    sim_world w(config);
    w.files.set("file", std::string(std::size_t{20} << 20, 'x'));
    const option_pairs asked{{"blksize", "1468"}, {"windowsize", "64"}};
    std::size_t drawn = 0;
    bool reduced = false;
    bool silent = false;
    for (std::uint16_t n = 0; n < 200 && !silent; ++n) {
        const auto victim = w.peer(static_cast<std::uint16_t>(2000 + n));
        w.say(*victim, rrq("file", asked));
        const auto answer = victim->take();
        silent = !answer;
        if (silent) {
            break;
        }
        reduced = reduced || answer->octets != oack(asked);
        w.say(*victim, ack(0), service_address);
        w.advance(1s);
        while (const auto came = victim->take()) {
            drawn += came->octets.size();
        }
        if (reduced) {
            break;
        }
    }
    CHECK(reduced);
    // What leaves before the first timer fires is charged then.
    CHECK(drawn < 8 * destination_budget::reduced_above);
    // Another one gets what it asks for.
    const auto other = w.network.open(endpoint::ipv4(192, 0, 2, 77, 2000));
    w.say(*other, rrq("file", asked));
    expect(*other, oack(asked));
}

TEST_CASE("whoever acknowledges owes nothing", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const option_pairs asked{{"blksize", "1468"}, {"windowsize", "2"}};
    for (std::uint16_t n = 0; n < 2000; ++n) {
        const auto client = w.peer(static_cast<std::uint16_t>(2000 + n));
        w.say(*client, rrq("file", asked));
        const endpoint tid = expect(*client, oack(asked));
        w.say(*client, ack(0), tid);
        // Slow, so that its timer has fired.
        w.advance(1200ms);
        w.say(*client, ack(2), tid);
        CHECK(w.serving->transfers() == 0);
    }
}

TEST_CASE("nothing comes from a port of servers", "[driver][service][forged]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config_of({how, 1000, 0}));
    socket_options options;
    options.local_addresses = true;
    REQUIRE_FALSE(w.serving->listen(w.network.open(service_address.with_port(6969), options)));
    w.files.set("file", std::string(2000, 'x'));
    const auto from = GENERATE(as<std::uint16_t>(), 69, 6969);
    const auto to = GENERATE(as<std::uint16_t>(), 69, 6969);
    const auto other = w.peer(from);
    for (const datagram& forged :
         {rrq("file"),
          rrq("file", {{"blksize", "1000"}}),
          rrq("none"),
          wrq("new"),
          rrq("file", {}, "mail"),
          datagram{std::byte{0}, std::byte{1}},
          data(1),
          ack(0),
          ack(1),
          oack({{"blksize", "8"}}),
          error_packet(peer_errc::undefined)}) {
        w.say(*other, forged, service_address.with_port(to));
    }
    w.advance(1min);
    CHECK_FALSE(other->take());
    CHECK(w.serving->transfers() == 0);
    CHECK(w.finished.all.empty());
}

TEST_CASE("two servers cannot be set upon each other", "[driver][service][forged]") {
    // Both answer from the port of requests, and their ports differ.
    sim_world w(config_of({tid_mode::single, 1, 0}));
    const endpoint other_address = endpoint::ipv4(192, 0, 2, 3, 6970);
    const endpoint first_address = service_address.with_port(6969);
    socket_options options;
    options.local_addresses = true;
    auto first_port = w.network.open(first_address, options);
    sim_port* const first = first_port.get();
    REQUIRE_FALSE(w.serving->listen(std::move(first_port)));
    sim_loop other_loop(w.network);
    shard other(
        {w.files, w.server_host, other_loop, w.finished}, config_of({tid_mode::single, 1, 0}), w.now
    );
    auto port = w.network.open(other_address, options);
    sim_port* const listening = port.get();
    REQUIRE_FALSE(other.listen(std::move(port)));
    w.files.set("file", std::string(1'000'000, 'x'));
    const bool read_options = GENERATE(false, true);
    const bool write_options = GENERATE(false, true);
    const bool read_first = GENERATE(false, true);
    const option_pairs asked{{"blksize", "1000"}, {"windowsize", "4"}};
    const datagram read = rrq("file", read_options ? asked : option_pairs{});
    const datagram write = wrq("copy", write_options ? asked : option_pairs{});
    // Both come before either server looks.
    if (read_first) {
        first->deliver(other_address, first_address, read);
        listening->deliver(first_address, other_address, write);
    } else {
        listening->deliver(first_address, other_address, write);
        first->deliver(other_address, first_address, read);
    }
    const std::uint64_t before = w.network.sent;
    for (int i = 0; i < 70; ++i) {
        for (bool any = true; any;) {
            any = w.turn();
            any = other_loop.dispatch(other, w.now) || any;
        }
        w.advance(1s);
        other.step(w.now);
    }
    CHECK(w.network.sent - before <= 16);
    // One block, shorter than that of the other side: whoever forges could have sent it himself.
    CHECK(w.files.get("copy").value_or("").size() <= 512);
    CHECK(w.serving->transfers() == 0);
    CHECK(other.transfers() == 0);
}
