#include "server/acceptor.hpp"
#include "server/demultiplexer.hpp"
#include "shard_parts.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Keeps the names of what it is handed.
class name_list final : public acceptor::request_handler {
public:
    void on_request(const incoming_request& a) noexcept override {
        names.emplace_back(a.request.filename);
    }

    void on_malformed(const incoming_request&, const error_code& why) noexcept override {
        faults.push_back(why);
    }

    std::vector<std::string> names;
    std::vector<error_code> faults;
};

/// An acceptor that listens at `service_address`.
class listening_parts : public shard_parts {
public:
    explicit listening_parts(const service_config& config = sim_config()) : shard_parts(config) {
        fd = listening->native_handle();
        REQUIRE_FALSE(accepts.listen(std::move(listening)));
    }

    void send(sim_port& from, const datagram& octets) {
        network.transmit(from, service_address, octets);
    }

    name_list got;
    demultiplexer packets{context, runner};
    acceptor accepts{context, got, packets, now};
    int fd = -1;
};

service_config paced(std::uint32_t per_second) {
    service_config config = sim_config();
    config.limits.requests_per_second = per_second;
    return config;
}

} // namespace

TEST_CASE("an acceptor hands over requests, good and bad", "[server][acceptor]") {
    listening_parts p;
    const auto client = p.network.open(client_address.with_port(2000));
    p.send(*client, rrq("one"));
    p.send(*client, {std::byte{0}, std::byte{1}, std::byte{'x'}});
    p.send(*client, ack(3));
    p.send(*client, wrq("two"));
    CHECK(p.loop.readable(p.fd, p.now));
    CHECK(p.got.names == std::vector<std::string>{"one", "two"});
    REQUIRE(p.got.faults.size() == 1);
    CHECK(p.got.faults[0] == errc::malformed);
    CHECK(p.context.counters.read().of(reason::not_a_request) == 1);
    CHECK(p.context.is_server(service_address));
}

TEST_CASE("an acceptor rests when requests come too fast", "[server][acceptor]") {
    listening_parts p(paced(2));
    const auto client = p.network.open(client_address.with_port(2000));
    for (const char* const name : {"one", "two", "three"}) {
        p.send(*client, rrq(name));
    }
    CHECK(p.loop.readable(p.fd, p.now));
    CHECK(p.got.names.size() == 2);
    CHECK(p.loop.readable(p.fd, p.now));
    REQUIRE(p.accepts.resuming_at());
    CHECK(*p.accepts.resuming_at() == p.now + 500ms);
    CHECK_FALSE(p.loop.readable(p.fd, p.now));
    p.accepts.resume(p.now);
    CHECK_FALSE(p.loop.readable(p.fd, p.now));
    p.now += 500ms;
    p.accepts.resume(p.now);
    CHECK_FALSE(p.accepts.resuming_at());
    CHECK(p.loop.readable(p.fd, p.now));
    CHECK(p.got.names.size() == 3);
}

TEST_CASE("an acceptor takes a new pace from the configuration", "[server][acceptor]") {
    listening_parts p(paced(1));
    const auto client = p.network.open(client_address.with_port(2000));
    for (const char* const name : {"one", "two", "three"}) {
        p.send(*client, rrq(name));
    }
    p.context.snapshot = std::make_shared<const service_config>(paced(100));
    p.accepts.configure(p.now);
    CHECK(p.loop.readable(p.fd, p.now));
    CHECK(p.got.names.size() == 3);
}

TEST_CASE("in a crowd an acceptor goes on in the same turn", "[server][acceptor]") {
    listening_parts p;
    const auto client = p.network.open(client_address.with_port(2000));
    for (int i = 0; i < 20; ++i) {
        p.send(*client, rrq(std::to_string(i)));
    }
    CHECK(p.loop.readable(p.fd, p.now));
    CHECK(p.got.names.size() == 8);
    p.accepts.take_more(p.now);
    CHECK(p.got.names.size() == 20);
    p.accepts.take_more(p.now);
    CHECK(p.got.names.size() == 20);
}

TEST_CASE("an acceptor that stops closes what nobody uses", "[server][acceptor]") {
    service_config config = sim_config();
    SECTION("its own sockets") {
        listening_parts p(config);
        p.accepts.stop();
        CHECK(p.network.open_ports() == 0);
        CHECK_FALSE(p.loop.readable(p.fd, p.now));
    }
    SECTION("but not those of transfers") {
        config.tids = tid_mode::single;
        listening_parts p(config);
        const auto client = p.network.open(client_address.with_port(2000));
        p.accepts.stop();
        p.send(*client, rrq("late"));
        CHECK(p.loop.readable(p.fd, p.now));
        CHECK(p.got.names.empty());
        CHECK(p.context.counters.read().of(reason::not_accepting) == 1);
    }
}
