#include "support/files.hpp"
#include "support/sim_world.hpp"

#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/server/shard.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// Transfers that have no port of their own: known by the pair of TIDs (RFC 1350 s.4).
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// A service whose transfers get ports in that way; at most `shared` of them lent.
service_config sharing(tid_mode how, std::size_t shared = 2) {
    service_config config = sim_config();
    config.tids = how;
    config.limits.shared_ports_max = shared;
    return config;
}

/// DATA with that payload.
datagram data_of(std::uint16_t block, std::string_view payload) {
    datagram octets = data(block, payload.size());
    std::ranges::copy(as_octets(payload), octets.begin() + header_size);
    return octets;
}

/// Starts to read "file" of two blocks and more; returns the TID of the server.
endpoint start_read(sim_world& w, sim_port& client) {
    w.say(client, rrq("file"));
    return expect(client, data_of(1, w.files.get("file").value().substr(0, 512)));
}

void check_all_given_back(sim_world& w, std::size_t clients) {
    CHECK(w.serving->transfers() == 0);
    CHECK(w.network.open_ports() == 1 + clients);
    CHECK(w.loop.watched() == 1);
}

} // namespace

TEST_CASE("files move whole through ports that are shared", "[driver][service][tid]") {
    const auto how = GENERATE(tid_mode::pooled, tid_mode::single);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 16);
    const auto mode = GENERATE(transfer_mode::octet, transfer_mode::netascii);
    sim_world w(sharing(how));
    const std::string content = make_content(100'000, 1);
    w.files.set("file", content);
    client_request asked;
    asked.options = no_options;
    asked.filename = "file";
    asked.mode = mode;
    if (windowsize > 1) {
        asked.options = default_offer(1428);
        asked.options->windowsize = windowsize;
    }
    memory_sink into(1 << 20);
    CHECK_FALSE(w.get(asked, into).outcome);
    CHECK((mode == transfer_mode::netascii || as_text(into.content()) == content));

    asked.filename = "upload";
    memory_source from(as_octets(content));
    CHECK_FALSE(w.put(asked, from).outcome);
    CHECK((mode == transfer_mode::netascii || w.files.get("upload") == content));

    w.advance(1min);
    for (const transfer_summary& ended : w.finished.all) {
        CHECK_FALSE(ended.outcome);
        CHECK((ended.local.port == service_address.port) == (how == tid_mode::single));
    }
    check_all_given_back(w, 0);
}

TEST_CASE("transfers through one port do not disturb each other", "[driver][service][tid]") {
    const auto how = GENERATE(tid_mode::pooled, tid_mode::single);
    sim_world w(sharing(how, 1));
    const std::string content = make_content(1000, 1);
    w.files.set("file", content);
    const auto first = w.peer(2000);
    const auto second = w.peer(2001);
    const endpoint tid = start_read(w, *first);
    CHECK(start_read(w, *second) == tid);
    CHECK((tid == service_address) == (how == tid_mode::single));
    w.say(*first, ack(1), tid);
    CHECK(expect(*first, data_of(2, content.substr(512))) == tid);
    CHECK_FALSE(second->take());
    w.say(*first, ack(2), tid);
    CHECK(w.finished.all.size() == 1);
    w.say(*second, ack(1), tid);
    expect(*second, data_of(2, content.substr(512)));
    w.say(*second, ack(2), tid);
    CHECK(w.finished.all.size() == 2);
    check_all_given_back(w, 2);
}

TEST_CASE("one client reads several files through shared ports", "[driver][service][tid]") {
    // At two addresses of the server it may use one port for both.
    sim_world w(sharing(tid_mode::single));
    const endpoint other = endpoint::ipv4(192, 0, 2, 9, 69);
    socket_options options;
    options.local_addresses = true;
    REQUIRE_FALSE(w.serving->listen(w.network.open(other, options)));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer();
    CHECK(start_read(w, *client) == service_address);
    w.say(*client, rrq("file"), other);
    CHECK(expect(*client, data_of(1, w.files.get("file").value().substr(0, 512))) == other);
    CHECK(w.serving->transfers() == 2);
    w.say(*client, ack(1), other);
    w.say(*client, ack(2), other);
    CHECK(w.serving->transfers() == 1);
}

TEST_CASE("a stranger at a shared port gets ERROR 5", "[driver][service][tid]") {
    const auto how = GENERATE(tid_mode::pooled, tid_mode::single);
    sim_world w(sharing(how));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer(2000);
    const auto other = w.peer(2001);
    const endpoint tid = start_read(w, *client);
    SECTION("for what belongs to a transfer") {
        w.say(*other, GENERATE(ack(1), data(1, 10)), tid);
        const auto came = other->take();
        REQUIRE(came);
        CHECK(came->octets[1] == std::byte{5});
        CHECK(came->octets[3] == std::byte{5});
        CHECK(came->from == tid);
    }
    SECTION("but not for an ERROR") {
        w.say(*other, error_packet(peer_errc::undefined), tid);
    }
    SECTION("nor for an OACK, which answers nothing of ours") {
        w.say(*other, oack({{"blksize", "512"}}), tid);
    }
    SECTION("and not for what is no packet") {
        w.say(*other, datagram(3), tid);
    }
    CHECK_FALSE(other->take());
    CHECK_FALSE(client->take());
    w.say(*client, ack(1), tid);
    w.say(*client, ack(2), tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
}

TEST_CASE("transfers share ports when they may not have their own", "[driver][service][tid]") {
    service_config config = sharing(tid_mode::exclusive, 1);
    config.limits.exclusive_ports_max = 2;
    sim_world w(config);
    w.files.set("file", make_content(1000, 1));
    std::vector<std::unique_ptr<sim_port>> clients;
    std::vector<endpoint> tids;
    const auto add = [&] {
        clients.push_back(w.peer(static_cast<std::uint16_t>(2000 + clients.size())));
        tids.push_back(start_read(w, *clients.back()));
    };
    for (int i = 0; i < 4; ++i) {
        add();
    }
    CHECK(tids[0] != tids[1]);
    CHECK(tids[2] != tids[1]);
    CHECK(tids[2] == tids[3]);
    // One has ended: the next gets a port of its own again.
    w.say(*clients[0], ack(1), tids[0]);
    w.say(*clients[0], ack(2), tids[0]);
    add();
    CHECK(tids[4] != tids[2]);
    for (std::size_t i = 1; i < clients.size(); ++i) {
        w.say(*clients[i], ack(1), tids[i]);
        w.say(*clients[i], ack(2), tids[i]);
    }
    CHECK(w.finished.all.size() == 5);
    check_all_given_back(w, 5);
}

TEST_CASE("transfers share ports when the system gives none", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::exclusive));
    w.files.set("file", make_content(1000, 1));
    const auto first = w.peer(2000);
    w.network.faults.push_back({port_call::open, w.network.calls(port_call::open) + 1, EADDRINUSE});
    const endpoint tid = start_read(w, *first);
    w.say(*first, ack(1), tid);
    w.say(*first, ack(2), tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("a request is refused when no port is left for its client", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::pooled, 0));
    w.files.set("file", "x");
    const auto client = w.peer();
    w.say(*client, rrq("file"));
    const auto came = client->take();
    REQUIRE(came);
    CHECK(came->octets[1] == std::byte{5});
    CHECK(w.serving->transfers() == 0);
}

TEST_CASE("pooled ports are fresh as long as there is room", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::pooled, 4));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer();
    std::set<std::uint16_t> seen;
    for (int i = 0; i < 3; ++i) {
        const endpoint tid = start_read(w, *client);
        CHECK(seen.insert(tid.port).second);
        w.say(*client, ack(1), tid);
        w.say(*client, ack(2), tid);
        CHECK(client->take());
    }
    check_all_given_back(w, 1);
}

TEST_CASE("transfers wait for room in the buffer that they share", "[driver][service][tid]") {
    const auto how = GENERATE(tid_mode::pooled, tid_mode::single);
    sim_world w(sharing(how, 1));
    const std::string content = make_content(1000, 1);
    w.files.set("file", content);
    const auto first = w.peer(2000);
    const auto second = w.peer(2001);
    const endpoint tid = start_read(w, *first);
    start_read(w, *second);
    for (unsigned i = 1; i <= 3; ++i) {
        w.network.faults.push_back(
            {port_call::send_run, w.network.calls(port_call::send_run) + i, EAGAIN}
        );
    }
    w.network.transmit(*first, tid, ack(1));
    w.network.transmit(*second, tid, ack(1));
    w.settle();
    expect(*first, data_of(2, content.substr(512)));
    expect(*second, data_of(2, content.substr(512)));
    w.say(*first, ack(2), tid);
    w.say(*second, ack(2), tid);
    CHECK(w.finished.all.size() == 2);
    for (const transfer_summary& ended : w.finished.all) {
        CHECK(ended.counters.retransmissions == 0);
    }
    check_all_given_back(w, 2);
}

TEST_CASE("a listening port that is shared outlasts its transfers", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::single));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer(2000);
    const auto late = w.peer(2001);
    const endpoint tid = start_read(w, *client);
    w.serving->close_listeners();
    w.say(*late, rrq("file"));
    CHECK_FALSE(late->take());
    w.say(*client, ack(1), tid);
    w.say(*client, ack(2), tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    // The kernel would spread the clients of other services anew.
    CHECK(w.network.open_ports() == 3);
    w.serving.reset();
    CHECK(w.loop.watched() == 0);
    CHECK(w.network.open_ports() == 2);
}

TEST_CASE("requests that come too fast do not stop transfers", "[driver][service][tid]") {
    service_config config = sharing(tid_mode::single);
    config.limits.requests_per_second = 2;
    sim_world w(config);
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer(2000);
    const endpoint tid = start_read(w, *client);
    std::vector<std::unique_ptr<sim_port>> flood;
    for (std::uint16_t i = 0; i < 5; ++i) {
        flood.push_back(w.peer(static_cast<std::uint16_t>(3000 + i)));
        w.network.transmit(*flood.back(), tid, rrq("file"));
    }
    w.say(*client, ack(1), tid);
    w.say(*client, ack(2), tid);
    CHECK(w.finished.all.size() == 1);
    CHECK(w.serving->transfers() == 1);
}

TEST_CASE("a request from the port of a transfer takes its place", "[driver][service][tid]") {
    // With one pair of TIDs for both the old one has to go first, so it must have been quiet.
    const auto how = GENERATE(tid_mode::pooled, tid_mode::single);
    sim_world w(sharing(how, 1));
    w.files.set("file", make_content(1000, 1));
    w.files.set("other", make_content(600, 2));
    const auto client = w.peer();
    const endpoint tid = start_read(w, *client);
    w.say(*client, ack(1), tid);
    w.say(*client, rrq("other"));
    w.advance(1999ms);
    CHECK(w.finished.all.empty());
    while (client->take()) {
    }
    w.advance(1ms);
    const endpoint next = expect(*client, data_of(1, w.files.get("other").value().substr(0, 512)));
    w.say(*client, ack(1), next);
    expect(*client, data_of(2, w.files.get("other").value().substr(512)));
    w.say(*client, ack(2), next);
    REQUIRE(w.finished.all.size() == 2);
    CHECK(w.finished.all[0].outcome == errc::superseded);
    CHECK_FALSE(w.finished.all[1].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("a client has one transfer through each shared port", "[driver][service][tid]") {
    // It asks at two ports of one address, and the same pair of TIDs would be two transfers.
    const auto ports = GENERATE(as<std::size_t>(), 1, 2);
    sim_world w(sharing(tid_mode::pooled, ports));
    const endpoint other = service_address.with_port(6969);
    socket_options options;
    options.local_addresses = true;
    REQUIRE_FALSE(w.serving->listen(w.network.open(other, options)));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer();
    const endpoint tid = start_read(w, *client);
    w.say(*client, rrq("file"), other);
    const auto came = client->take();
    REQUIRE(came);
    if (ports == 1) {
        CHECK(came->from == other);
        CHECK(came->octets[1] == std::byte{5});
    } else {
        CHECK(came->from != tid);
        CHECK(w.serving->transfers() == 2);
    }
}

TEST_CASE("a malformed request does not end the transfer of its port", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::single));
    w.files.set("file", make_content(1000, 1));
    const auto client = w.peer(2000);
    const auto other = w.peer(2001);
    const datagram malformed =
        GENERATE(datagram{std::byte{0}, std::byte{1}}, rrq("file", {}, "mail"));
    const endpoint tid = start_read(w, *client);
    w.say(*client, malformed);
    CHECK_FALSE(client->take());
    w.say(*other, malformed);
    CHECK(other->take());
    w.say(*client, ack(1), tid);
    CHECK(client->take());
    w.say(*client, ack(2), tid);
    CHECK(w.serving->transfers() == 0);
}

TEST_CASE("of those that wait for room only one finds none", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::pooled, 1));
    w.files.set("file", make_content(1000, 1));
    std::vector<std::unique_ptr<sim_port>> clients;
    endpoint tid;
    for (std::uint16_t i = 0; i < 4; ++i) {
        clients.push_back(w.peer(static_cast<std::uint16_t>(2000 + i)));
        tid = start_read(w, *clients.back());
    }
    // The buffer has room for so many of the next runs.
    const auto has_room_for = [&w](unsigned runs) {
        w.network.faults.clear();
        for (unsigned i = runs + 1; i <= 8; ++i) {
            w.network.faults.push_back(
                {port_call::send_run, w.network.calls(port_call::send_run) + i, EAGAIN}
            );
        }
    };
    has_room_for(0);
    for (const auto& each : clients) {
        w.network.transmit(*each, tid, ack(1));
    }
    w.turn();
    for (unsigned turn = 0; turn < clients.size(); ++turn) {
        const unsigned before = w.network.calls(port_call::send_run);
        has_room_for(1);
        w.turn();
        CHECK(w.network.calls(port_call::send_run) - before <= 2);
    }
    for (const auto& each : clients) {
        CHECK(each->take());
        w.say(*each, ack(2), tid);
    }
    CHECK(w.serving->transfers() == 0);
}

TEST_CASE("a request and packets of a transfer come in one message", "[driver][service][tid]") {
    sim_world w(sharing(tid_mode::single));
    w.listener->coalesces = true;
    const std::string content = make_content(1000, 1);
    w.files.set("file", content);
    const auto client = w.peer();
    const endpoint tid = start_read(w, *client);
    SECTION("a copy of the request, then the ACK") {
        w.network.transmit(*client, tid, rrq("file"));
        w.say(*client, ack(1), tid);
        expect(*client, data_of(1, content.substr(0, 512)));
    }
    SECTION("the ACK twice") {
        w.network.transmit(*client, tid, ack(1));
        w.say(*client, ack(1), tid);
    }
    SECTION("the ACK, then one that nothing was sent for yet") {
        // One by one, as a port of its own would give them: the second is for what the first drew.
        w.network.transmit(*client, tid, ack(1));
        w.say(*client, ack(2), tid);
        CHECK(w.serving->transfers() == 0);
    }
    expect(*client, data_of(2, content.substr(512)));
    CHECK_FALSE(client->take());
}
