#include "support/builders.hpp"
#include "support/sim_world.hpp"

#include <tftp/server/shard.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// A second request from the address and port of a transfer, be it a copy, forged, or the client's.
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

service_config config_of(tid_mode how, std::size_t shared = 4) {
    service_config config = sim_config();
    config.tids = how;
    config.limits.shared_ports_max = shared;
    return config;
}

/// A client in lockstep that believes whatever comes to its port: as naive as they are.
class naive_reader {
public:
    explicit naive_reader(sim_world& w) : w_(w), port(w.peer()) {}

    /// Asks for "file" and acknowledges until `blocks` have come.
    void begin(std::uint16_t blocks, const option_pairs& options = {}) {
        w_.say(*port, rrq("file", options));
        const auto first = port->take();
        REQUIRE(first);
        tid = first->from;
        if (!options.empty()) {
            w_.say(*port, ack(0), tid);
            REQUIRE(port->take());
        }
        for (std::uint16_t n = 1; n < blocks; ++n) {
            acknowledge();
        }
    }

    /// Acknowledges the block it has, and gets the next one from its server and nothing else.
    void acknowledge() {
        w_.say(*port, ack(block++), tid);
        const auto came = port->take();
        REQUIRE(came);
        CHECK(came->from == tid);
        CHECK(came->octets[1] == std::byte{3});
        CHECK(came->octets[3] == static_cast<std::byte>(block));
        CHECK_FALSE(port->take());
    }

private:
    sim_world& w_;

public:
    std::unique_ptr<sim_port> port;
    endpoint tid;
    std::uint16_t block = 1;
};

/// Returns the first datagram that came, and not from `tid`; takes all.
std::optional<sim_datagram> from_elsewhere(sim_port& port, const endpoint& tid) {
    std::optional<sim_datagram> first;
    while (auto came = port.take()) {
        if (!first && came->from != tid) {
            first = std::move(came);
        }
    }
    return first;
}

} // namespace

TEST_CASE("no request from elsewhere disturbs a transfer", "[driver][service][forged]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config_of(how));
    w.files.set("file", std::string(512 * 40, 'x'));
    w.files.set("other", std::string(512 * 40, 'y'));
    naive_reader victim(w);
    const bool options = GENERATE(false, true);
    victim.begin(3, options ? option_pairs{{"blksize", "512"}} : option_pairs{});
    const datagram forged = GENERATE(
        rrq("file"),
        rrq("file", {{"blksize", "512"}}),
        rrq("other"),
        rrq("other", {{"blksize", "1000"}, {"windowsize", "4"}}),
        rrq("none"),
        rrq("file", {}, "mail"),
        rrq("file", {}, "netascii"),
        wrq("new"),
        wrq("new", {{"tsize", "3"}}),
        datagram{std::byte{0}, std::byte{1}, std::byte{0}}
    );
    // Blocks come every 90 ms: sometimes there are more requests than blocks.
    for (int i = 0; i < 30; ++i) {
        w.say(*victim.port, forged);
        w.advance(45ms);
        w.say(*victim.port, forged);
        while (victim.port->take()) {
            // A repeat, if the timer is that short.
        }
        w.advance(i % 3 == 0 ? 0ms : 45ms);
        while (victim.port->take()) {
        }
        victim.acknowledge();
    }
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());
}

TEST_CASE("what is sent to the port of requests feeds no transfer", "[driver][service][forged]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled);
    sim_world w(config_of(how));
    w.files.set("file", std::string(2000, 'x'));
    naive_reader victim(w);
    victim.begin(2);
    for (const datagram& forged :
         {ack(2),
          ack(1),
          ack(0),
          data(1),
          data(3),
          error_packet(peer_errc::undefined),
          error_packet(peer_errc::unknown_transfer_id),
          oack({{"blksize", "8"}})}) {
        w.say(*victim.port, forged);
    }
    CHECK_FALSE(victim.port->take());
    victim.acknowledge();
    CHECK(w.finished.all.empty());
}

TEST_CASE("a copy of the request that comes later still does nothing", "[driver][service]") {
    // 1.3 s after the first, while blocks come: no machine has started again.
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config_of(how));
    w.files.set("file", std::string(512 * 60, 'x'));
    naive_reader reader(w);
    reader.begin(2);
    for (int i = 0; i < 20; ++i) {
        w.advance(65ms);
        while (reader.port->take()) {
        }
        reader.acknowledge();
    }
    w.say(*reader.port, rrq("file"));
    CHECK_FALSE(reader.port->take());
    w.advance(10ms);
    reader.acknowledge();
    w.advance(5s);
    while (const auto came = reader.port->take()) {
        CHECK(came->octets[3] == static_cast<std::byte>(reader.block));
    }
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());
}

TEST_CASE("a late copy is forgotten with the transfer that goes on and ends", "[driver][service]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config_of(how));
    w.files.set("file", std::string(512 * 20 + 1, 'x'));
    naive_reader reader(w);
    reader.begin(2);
    while (reader.block < 21) {
        w.advance(70ms);
        while (reader.port->take()) {
        }
        reader.acknowledge();
    }
    w.say(*reader.port, rrq("file"));
    w.advance(10ms);
    while (reader.port->take()) {
    }
    w.say(*reader.port, ack(21), reader.tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    const std::uint64_t before = w.network.sent;
    w.advance(5s);
    CHECK(w.network.sent == before);
}

TEST_CASE("a client that has started again is served", "[driver][service]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    const auto shared = GENERATE(as<std::size_t>(), 1, 4);
    const bool same = GENERATE(false, true);
    // The same request again within a second is a copy: no machine starts so fast.
    const auto down = same ? 1100ms : GENERATE(0ms, 500ms, 5000ms);
    service_config config = config_of(how, shared);
    // As many as one client may have: the old one must not stand in the way of the new one.
    config.limits.transfers_per_client_max = GENERATE(as<std::size_t>(), 1, 100);
    sim_world w(config);
    w.files.set("file", std::string(2000, 'x'));
    w.files.set("other", std::string(700, 'y'));
    naive_reader reader(w);
    reader.begin(2);
    w.advance(down);
    const datagram again = same ? rrq("file") : rrq("other");
    w.say(*reader.port, again);
    std::optional<sim_datagram> fresh;
    const auto limit = w.now + 2001ms;
    while (!fresh && w.now < limit) {
        while (auto came = reader.port->take()) {
            if (came->octets[3] == std::byte{1}) {
                fresh = std::move(came);
            }
        }
        w.advance(10ms);
    }
    REQUIRE(fresh);
    const bool one_pair = how == tid_mode::single || (how == tid_mode::pooled && shared == 1);
    CHECK((fresh->from == reader.tid) == one_pair);
    while (reader.port->take()) {
    }
    w.say(*reader.port, ack(1), fresh->from);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::superseded);
    REQUIRE(reader.port->take());
    if (!same) {
        w.say(*reader.port, ack(2), fresh->from);
        REQUIRE(w.finished.all.size() == 2);
        CHECK_FALSE(w.finished.all[1].outcome);
    }
}

TEST_CASE("of a transfer and its rival the first to be answered goes on", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    w.files.set("other", std::string(700, 'y'));
    w.files.set("third", std::string(700, 'z'));
    naive_reader reader(w);
    reader.begin(2);
    w.say(*reader.port, rrq("other"));
    w.advance(100ms);
    const auto rival = from_elsewhere(*reader.port, reader.tid);
    REQUIRE(rival);
    CHECK(rival->octets[1] == std::byte{3});
    CHECK(w.serving->running() == 2);
    SECTION("the old one does not end when the new one never hears anything") {
        w.advance(10s);
        while (reader.port->take()) {
        }
        w.say(*reader.port, ack(2), reader.tid);
        CHECK(reader.port->take());
        w.advance(20s);
        CHECK(w.finished.all.size() <= 1);
    }
    SECTION("an ERROR 5 ends the new one") {
        w.say(*reader.port, error_packet(peer_errc::unknown_transfer_id), rival->from);
        CHECK(w.serving->running() == 1);
        reader.acknowledge();
    }
    SECTION("a repeat of the newer request has its answer repeated") {
        w.say(*reader.port, rrq("other"));
        const auto again = reader.port->take();
        REQUIRE(again);
        CHECK(again->from == rival->from);
        CHECK(w.serving->running() == 2);
    }
    SECTION("a third request takes the place of the second") {
        w.say(*reader.port, rrq("third"));
        w.advance(100ms);
        CHECK(w.serving->running() == 2);
        REQUIRE(w.finished.all.size() == 1);
        CHECK(w.finished.all[0].filename == "other");
    }
    SECTION("the new one goes on by itself when the old one has ended") {
        w.say(*reader.port, error_packet(peer_errc::undefined), reader.tid);
        CHECK(w.serving->running() == 1);
        w.say(*reader.port, ack(1), rival->from);
        CHECK(reader.port->take());
        w.say(*reader.port, ack(2), rival->from);
        REQUIRE(w.finished.all.size() == 2);
        CHECK_FALSE(w.finished.all.back().outcome);
        CHECK(w.serving->transfers() == 0);
    }
    SECTION("both are given back") {
        w.serving->abort_all(w.now);
        w.serving->step(w.now);
        CHECK(w.serving->transfers() == 0);
        CHECK(w.network.open_ports() == 2);
    }
}

TEST_CASE("one who forges requests cannot keep others from uploading", "[driver][service]") {
    const auto how = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config_of(how));
    const auto writer = w.peer();
    w.say(*writer, wrq("upload"));
    const endpoint tid = expect(*writer, ack(0));
    const datagram forged = GENERATE(wrq("upload"), wrq("else"), rrq("upload"));
    for (std::uint16_t block = 1; block < 20; ++block) {
        w.say(*writer, data(block), tid);
        CHECK(expect(*writer, ack(block)) == tid);
        w.say(*writer, forged);
        w.advance(5ms);
        CHECK_FALSE(writer->take());
    }
    w.say(*writer, data(20, 5), tid);
    CHECK(expect(*writer, ack(20)) == tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
}
