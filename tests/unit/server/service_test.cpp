#include "support/files.hpp"
#include "support/sim_world.hpp"

#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/server/limits.hpp>
#include <tftp/server/shard.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// An ERROR with this code came, whatever its text.
void expect_error(sim_port& port, peer_errc code) {
    const auto received = port.take();
    REQUIRE(received);
    REQUIRE(received->octets.size() >= 5);
    CHECK(received->octets[1] == std::byte{5});
    CHECK(std::to_integer<unsigned>(received->octets[3]) == static_cast<unsigned>(code));
}

client_request ask(std::string name) {
    client_request asked;
    asked.options = no_options;
    asked.filename = std::move(name);
    return asked;
}

/// Nothing of a past transfer is left: no port, no watch, no entry.
void check_all_given_back(const sim_world& w, std::size_t peers) {
    CHECK(w.serving->running() == 0);
    CHECK(w.serving->transfers() == 0);
    CHECK(w.network.open_ports() == 1 + peers);
    CHECK(w.loop.watched() == 1);
}

/// A pool whose threads are all busy: jobs wait until it ends.
class busy_pool final : public job_runner {
public:
    ~busy_pool() override {
        for (auto& job : waiting) {
            discard(std::move(job));
        }
    }

    [[nodiscard]] bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing
    ) noexcept override {
        accept(*job, completions);
        waiting.push_back(std::move(job));
        return true;
    }

    std::vector<std::unique_ptr<blocking_job>> waiting;
};

/// A pool that does each job at once, and keeps in mind how long it is said to take.
class prompt_pool final : public job_runner {
public:
    [[nodiscard]] bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing
    ) noexcept override {
        lengths.push_back(length_of(*job));
        accept(*job, completions);
        job->run();
        finish(std::move(job));
        return true;
    }

    std::vector<job_length> lengths;
};

} // namespace

TEST_CASE("service sends the file that is asked for", "[driver][service]") {
    const auto size = GENERATE(as<std::size_t>(), 0, 1, 511, 512, 513, 100'000);
    const bool options = GENERATE(false, true);
    sim_world w;
    const std::string content = make_content(size, 1);
    w.files.set("file", content);
    client_request asked = ask("file");
    if (options) {
        asked.options = default_offer(1428);
    }
    memory_sink into(1 << 20);
    const auto ended = w.get(asked, into);
    CHECK_FALSE(ended.outcome);
    CHECK(into.committed());
    CHECK(as_text(into.content()) == content);
    REQUIRE(w.finished.all.size() == 1);
    const transfer_summary& served = w.finished.all[0];
    CHECK_FALSE(served.outcome);
    CHECK(served.verb == transfer_direction::read);
    CHECK(served.filename == "file");
    CHECK(served.counters.bytes == size);
    CHECK(served.agreed.windowsize == (options ? 64 : 1));
    CHECK(served.local.same_host(service_address));
    check_all_given_back(w, 0);
}

TEST_CASE("service takes an upload and publishes it whole", "[driver][service]") {
    const auto size = GENERATE(as<std::size_t>(), 0, 1, 512, 100'000);
    const bool options = GENERATE(false, true);
    sim_world w;
    const std::string content = make_content(size, 2);
    client_request asked = ask("upload");
    if (options) {
        asked.options = default_offer(1428);
    }
    memory_source from(as_octets(content));
    const auto ended = w.put(asked, from);
    CHECK_FALSE(ended.outcome);
    CHECK(w.files.get("upload") == content);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].verb == transfer_direction::write);
    CHECK_FALSE(w.finished.all[0].outcome);
    // The server's side stays for a while, to repeat its final ACK.
    CHECK(w.serving->running() == 0);
    w.advance(1min);
    check_all_given_back(w, 0);
}

TEST_CASE("service converts netascii in both directions", "[driver][service][netascii]") {
    const std::string text = "one\ntwo\r\n\nthree\r" + std::string(3000, '\n') + "end";
    sim_world w;
    w.files.set("text", text);
    client_request asked = ask("text");
    asked.mode = transfer_mode::netascii;
    const auto window = GENERATE(as<std::uint16_t>(), 1, 16);
    asked.options->windowsize = window;
    memory_sink into(1 << 20);
    const auto read = w.get(asked, into);
    CHECK_FALSE(read.outcome);
    CHECK(as_text(into.content()) == text);
    CHECK(read.counters.bytes > text.size());

    asked.filename = "copy";
    memory_source from(as_octets(text));
    const auto written = w.put(asked, from);
    CHECK_FALSE(written.outcome);
    CHECK(w.files.get("copy") == text);
}

TEST_CASE("service answers from a port of its own", "[driver][service][rfc1350]") {
    sim_world w;
    w.files.set("file", "content");
    const auto asker = w.peer();
    w.say(*asker, rrq("file"));
    const auto data = asker->take();
    REQUIRE(data);
    CHECK(data->from.same_host(service_address));
    CHECK(data->from.port != service_address.port);
    w.say(*asker, ack(1), data->from);
    check_all_given_back(w, 1);
}

TEST_CASE("service joins a repeated request to its transfer", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const auto asker = w.peer();
    const datagram asked = rrq("file", {{"blksize", "1000"}});
    w.say(*asker, asked);
    const endpoint first = expect(*asker, oack({{"blksize", "1000"}}));
    w.say(*asker, asked);
    const endpoint second = expect(*asker, oack({{"blksize", "1000"}}));
    CHECK(first == second);
    CHECK(w.serving->running() == 1);
    CHECK(w.finished.all.empty());
    for (std::uint16_t block = 0; block <= 3; ++block) {
        w.say(*asker, ack(block), first);
    }
    CHECK(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("a new request of the same peer replaces its transfer in silence", "[driver][service]") {
    // Once it is answered; until then both are there.
    sim_world w;
    w.files.set("one", std::string(2000, '1'));
    w.files.set("two", "2");
    const auto asker = w.peer();
    w.say(*asker, rrq("one"));
    const auto first = asker->take();
    REQUIRE(first);
    SECTION("before it was answered") {}
    SECTION("after it was answered") {
        w.say(*asker, ack(1), first->from);
        REQUIRE(asker->take());
    }
    w.say(*asker, rrq("two"));
    w.advance(std::chrono::milliseconds(100));
    auto second = asker->take();
    while (second && second->from == first->from) {
        // The old one goes on.
        second = asker->take();
    }
    REQUIRE(second);
    CHECK(
        second->octets ==
        datagram{std::byte{0}, std::byte{3}, std::byte{0}, std::byte{1}, std::byte{'2'}}
    );
    CHECK(second->from != first->from);
    CHECK_FALSE(asker->take());
    CHECK(w.serving->running() == 2);
    CHECK(w.finished.all.empty());
    w.say(*asker, ack(1), second->from);
    REQUIRE(w.finished.all.size() == 2);
    CHECK(w.finished.all[0].outcome == errc::superseded);
    CHECK_FALSE(w.finished.all[1].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("service drops requests that nobody honest sends", "[driver][service][rfc1123]") {
    sim_world w;
    w.files.set("file", "content");
    SECTION("from port 0") {
        w.listener->deliver(client_address, service_address, rrq("file"));
    }
    SECTION("from its own port") {
        w.listener->deliver(service_address, service_address, rrq("file"));
    }
    SECTION("to a group's address") {
        const auto asker = w.peer();
        w.listener->group = true;
        w.network.transmit(*asker, service_address, rrq("file"));
    }
    const std::uint64_t sent = w.network.sent;
    w.settle();
    CHECK(w.network.sent == sent);
    CHECK(w.finished.all.empty());
    check_all_given_back(w, 0);
}

TEST_CASE(
    "a client may have the port of a listener of the other address family", "[driver][service]"
) {
    sim_world w;
    w.files.set("file", "content");
    socket_options options;
    options.local_addresses = true;
    endpoint other = service_address.with_port(2000);
    other.family = address_family::ipv6;
    REQUIRE_FALSE(w.serving->listen(w.network.open(other, options)));
    const auto asker = w.peer(2000);
    w.say(*asker, rrq("file"), service_address);
    CHECK(asker->take());
    CHECK(w.serving->running() == 1);
}

TEST_CASE("service answers a malformed request with ERROR 4", "[driver][service]") {
    sim_world w;
    const auto asker = w.peer();
    SECTION("no file name") {
        w.say(*asker, {std::byte{0}, std::byte{1}, std::byte{0}});
    }
    SECTION("mail") {
        w.say(*asker, rrq("file", {}, "mail"));
    }
    SECTION("only an opcode") {
        w.say(*asker, {std::byte{0}, std::byte{2}});
    }
    expect_error(*asker, peer_errc::illegal_operation);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("service never answers what is no request", "[driver][service]") {
    sim_world w;
    const auto asker = w.peer();
    w.say(*asker, error_packet(peer_errc::undefined));
    w.say(*asker, data(1));
    w.say(*asker, ack(0));
    w.say(*asker, oack({{"blksize", "512"}}));
    w.say(*asker, {});
    w.say(*asker, {std::byte{0}});
    w.say(*asker, {std::byte{0}, std::byte{9}});
    w.say(*asker, {std::byte{1}, std::byte{1}, std::byte{'x'}, std::byte{0}});
    CHECK_FALSE(asker->take());
    CHECK(w.finished.all.empty());
}

TEST_CASE("service says what is wrong with a request", "[driver][service]") {
    sim_world w;
    const auto asker = w.peer();
    SECTION("a file that is not there") {
        w.say(*asker, rrq("nothing"));
        expect_error(*asker, peer_errc::not_found);
    }
    SECTION("no room") {
        w.files.fail("big", make_error_code(boost::system::errc::no_space_on_device));
        w.say(*asker, wrq("big"));
        expect_error(*asker, peer_errc::disk_full);
    }
    SECTION("no port to serve from") {
        w.files.set("file", "x");
        // Neither its own nor one to share.
        w.network.faults = {{port_call::open, 1, EMFILE, 0}, {port_call::open, 2, EMFILE, 0}};
        w.say(*asker, rrq("file"));
        expect_error(*asker, peer_errc::undefined);
    }
    SECTION("nobody to watch it") {
        w.files.set("file", "x");
        w.loop.fail_next = ENOSPC;
        w.say(*asker, rrq("file"));
        // DATA 1 has left before; the ERROR ends it.
        CHECK(asker->take());
        expect_error(*asker, peer_errc::undefined);
    }
    CHECK_FALSE(asker->take());
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome);
    check_all_given_back(w, 1);
}

TEST_CASE("service has no more transfers than it may", "[driver][service][limits]") {
    CHECK(limits().transfers_max == 16384);
    service_config config = sim_config();
    config.limits.transfers_max = 2;
    sim_world w(config);
    w.files.set("file", std::string(2000, 'x'));
    std::vector<std::unique_ptr<sim_port>> peers;
    for (std::uint16_t port = 2000; port < 2002; ++port) {
        peers.push_back(w.peer(port));
        w.say(*peers.back(), rrq("file"));
        const auto first = peers.back()->take();
        REQUIRE(first);
        w.say(*peers.back(), ack(1), first->from);
    }
    const auto late = w.peer(2002);
    w.say(*late, rrq("file"));
    CHECK(w.serving->running() == 2);
    expect_error(*late, peer_errc::undefined);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::overloaded);
}

TEST_CASE("clients that never answer make room for others", "[driver][service][limits]") {
    CHECK(limits().half_open_max == 8192);
    service_config config = sim_config();
    const bool by_total = GENERATE(false, true);
    (by_total ? config.limits.transfers_max : config.limits.half_open_max) = 2;
    sim_world w(config);
    w.files.set("file", "x");
    std::vector<std::unique_ptr<sim_port>> silent;
    for (std::uint16_t port = 2000; port < 2002; ++port) {
        silent.push_back(w.peer(port));
        w.say(*silent.back(), rrq("file"));
        REQUIRE(silent.back()->take());
    }
    const auto good = w.peer(2002);
    w.say(*good, rrq("file"));
    CHECK(w.serving->running() == 2);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].peer == silent[0]->local_endpoint());
    CHECK(w.finished.all[0].outcome == errc::crowded_out);
    // In silence: the address may be a victim's.
    CHECK_FALSE(silent[0]->take());
    const auto served = good->take();
    REQUIRE(served);
    w.say(*good, ack(1), served->from);
    REQUIRE(w.finished.all.size() == 2);
    CHECK_FALSE(w.finished.all[1].outcome);
}

TEST_CASE("abort_all tells every peer and keeps nothing", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const auto reader = w.peer(2000);
    const auto writer = w.peer(2001);
    w.say(*reader, rrq("file"));
    w.say(*writer, wrq("upload"));
    REQUIRE(reader->take());
    const endpoint upload = expect(*writer, ack(0));
    w.say(*writer, data(1), upload);
    expect(*writer, ack(1));
    CHECK(w.serving->running() == 2);
    w.serving->abort_all(w.now);
    w.serving->step(w.now);
    expect_error(*reader, peer_errc::undefined);
    expect_error(*writer, peer_errc::undefined);
    REQUIRE(w.finished.all.size() == 2);
    CHECK(w.finished.all[0].outcome == errc::stopped);
    CHECK(w.finished.all[1].outcome == errc::stopped);
    CHECK_FALSE(w.files.get("upload"));
    check_all_given_back(w, 2);
}

TEST_CASE("service without listeners lets transfers finish", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(600, 'x'));
    const auto asker = w.peer();
    w.say(*asker, rrq("file"));
    const auto first = asker->take();
    REQUIRE(first);
    w.serving->close_listeners();
    const auto late = w.peer(2001);
    w.say(*late, rrq("file"));
    CHECK_FALSE(late->take());
    w.say(*asker, ack(1), first->from);
    REQUIRE(asker->take());
    w.say(*asker, ack(2), first->from);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    CHECK(w.serving->transfers() == 0);
    CHECK(w.loop.watched() == 0);
}

TEST_CASE("service gives up a peer that says nothing", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    const auto asker = w.peer();
    SECTION("from the start") {
        w.say(*asker, rrq("file"));
    }
    SECTION("in the middle") {
        w.say(*asker, rrq("file"));
        const auto first = asker->take();
        REQUIRE(first);
        w.say(*asker, ack(1), first->from);
    }
    w.advance(5min);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == errc::timed_out);
    CHECK(w.finished.all[0].counters.timeouts >= 4);
    check_all_given_back(w, 1);
}

TEST_CASE("service ends the transfer of a peer that is gone", "[driver][service]") {
    sim_world w;
    w.files.set("file", std::string(2000, 'x'));
    {
        const auto asker = w.peer();
        w.network.transmit(*asker, service_address, rrq("file"));
    }
    w.settle();
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.finished.all[0].outcome == boost::system::errc::connection_refused);
    check_all_given_back(w, 0);
}

TEST_CASE("a stranger on a transfer's port disturbs nothing", "[driver][service][rfc1350]") {
    sim_world w;
    w.files.set("file", std::string(600, 'x'));
    const auto asker = w.peer(2000);
    const auto other = w.peer(3000);
    w.say(*asker, rrq("file"));
    const auto first = asker->take();
    REQUIRE(first);
    w.say(*other, ack(1), first->from);
    expect_error(*other, peer_errc::unknown_transfer_id);
    w.say(*other, error_packet(peer_errc::undefined), first->from);
    CHECK_FALSE(other->take());
    w.say(*asker, ack(1), first->from);
    REQUIRE(asker->take());
    w.say(*asker, ack(2), first->from);
    REQUIRE(w.finished.all.size() == 1);
    CHECK_FALSE(w.finished.all[0].outcome);
    CHECK(w.finished.all[0].counters.strangers == 2);
}

TEST_CASE("service keeps many transfers apart under loss", "[driver][service]") {
    sim_world w;
    std::uint32_t dice = 1;
    w.network.passes = [&dice](const endpoint&, const endpoint&, bytes_view) {
        dice = dice * 1664525 + 1013904223;
        return (dice >> 24) % 10 != 0;
    };
    std::vector<std::string> contents;
    std::vector<std::unique_ptr<memory_sink>> sinks;
    std::vector<std::unique_ptr<transfer>> transfers;
    for (std::size_t i = 0; i < 50; ++i) {
        contents.push_back(make_content(i * 997, i));
        w.files.set("file" + std::to_string(i), contents.back());
        client_request asked = ask("file" + std::to_string(i));
        asked.server = service_address;
        asked.options = default_offer(512);
        asked.options->windowsize = static_cast<std::uint16_t>(i % 9 + 1);
        sinks.push_back(std::make_unique<memory_sink>(1 << 20));
        transfers.push_back(begin_get(asked, *sinks.back(), w.client_host, w.now).value());
        w.clients.push_back(transfers.back().get());
        transfers.back()->start(w.memory, w.now);
    }
    w.advance(10min);
    std::size_t served_well = 0;
    for (std::size_t i = 0; i < contents.size(); ++i) {
        INFO(
            "transfer " << i << ", window " << transfers[i]->summary().agreed.windowsize << ", "
                        << transfers[i]->summary().counters.blocks << " blocks, timeouts "
                        << transfers[i]->summary().counters.timeouts
        );
        std::string ends;
        for (const auto& each : w.finished.all) {
            if (each.filename == "file" + std::to_string(i)) {
                ends += each.outcome.message() + ", " + std::to_string(each.counters.blocks) +
                        " blocks, sent again " + std::to_string(each.counters.retransmissions) +
                        "; ";
            }
        }
        INFO(ends);
        CHECK_FALSE(transfers[i]->summary().outcome);
        CHECK((as_text(sinks[i]->content()) == contents[i]));
    }
    // One request of the client may have become two transfers when it was repeated late; each is
    // heard of once.
    for (const auto& each : w.finished.all) {
        served_well += each.outcome ? 0U : 1U;
    }
    CHECK(served_well >= contents.size() - 5);
    w.clients.clear();
    transfers.clear();
    check_all_given_back(w, 0);
}

TEST_CASE("a file that does not open in time is given up", "[driver][service][limits]") {
    auto pool = std::make_unique<busy_pool>();
    service_config config = sim_config();
    config.limits.transfers_max = 1;
    sim_world w(config, pool.get());
    const auto client = w.peer(2000);
    const auto other = w.peer(2001);
    w.say(*client, rrq("cold"));
    REQUIRE(pool->waiting.size() == 1);
    w.advance(59s);
    w.say(*other, rrq("cold"));
    expect_error(*other, peer_errc::undefined);
    w.advance(2s);
    // Its place is free, although its job still waits.
    w.say(*other, rrq("cold"));
    CHECK_FALSE(other->take());
    CHECK(pool->waiting.size() == 2);
    REQUIRE(w.finished.all.size() == 2);
    CHECK(w.finished.all[0].outcome == errc::overloaded);
    CHECK(w.finished.all[1].outcome == errc::stalled);
    pool.reset();
}

TEST_CASE("a pool ends before the service for which it was opening a file", "[driver][service]") {
    auto pool = std::make_unique<busy_pool>();
    sim_world w(sim_config(), pool.get());
    const auto client = w.peer();
    w.say(*client, rrq("file"));
    REQUIRE(pool->waiting.size() == 1);
    // As a server does when it stops.
    pool.reset();
    w.serving.reset();
    CHECK(w.finished.all.empty());
    CHECK(w.loop.watched() == 0);
}

TEST_CASE("a commit is a lasting job, and the open before it is none", "[driver][service]") {
    prompt_pool pool;
    sim_world w(sim_config(), &pool);
    memory_source from(as_octets("content"));
    CHECK_FALSE(w.put(ask("upload"), from).outcome);
    CHECK(w.files.get("upload") == "content");
    CHECK(pool.lengths == std::vector{job_length::brief, job_length::lasting});
}
