#include "server/acceptor.hpp"
#include "server/demultiplexer.hpp"
#include "server/port_allocator.hpp"
#include "shard_parts.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;

namespace {

class no_requests final : public acceptor::request_handler {
public:
    void on_request(const incoming_request&) noexcept override {}

    void on_malformed(const incoming_request&, const error_code&) noexcept override {}
};

class port_parts : public shard_parts {
public:
    explicit port_parts(const service_config& config) : shard_parts(config) {
        listener = listening.get();
        REQUIRE_FALSE(accepts.listen(std::move(listening)));
    }

    /// A request that came to the listening socket.
    [[nodiscard]] incoming_request ask(std::uint16_t port = 2000) {
        return {
            *listener,
            service_address.with_port(0),
            {},
            {client_address.with_port(port), service_address},
            {},
            now,
            {}};
    }

    sim_port* listener = nullptr;
    no_requests nothing;
    demultiplexer packets{context, runner};
    acceptor accepts{context, nothing, packets, now};
    port_allocator ports{context, accepts, runner, packets};
};

service_config with(tid_mode tids, std::size_t exclusive, std::size_t shared) {
    service_config config = sim_config();
    config.tids = tids;
    config.limits.exclusive_ports_max = exclusive;
    config.limits.shared_ports_max = shared;
    return config;
}

} // namespace

TEST_CASE("a transfer gets a port of its own", "[server][port_allocator]") {
    port_parts p(with(tid_mode::exclusive, 10, 10));
    parameters receives;
    receives.windowsize = 8;
    const auto at = p.ports.open(p.ask(), receives);
    REQUIRE(at.has_value());
    CHECK(at->lent == nullptr);
    CHECK(at->port->local_endpoint().same_host(service_address));
    CHECK(at->port->local_endpoint().port != service_address.port);
    CHECK(p.host.last_options.refusals);
    CHECK(p.host.last_options.coalesce);
    CHECK(p.host.last_options.receive_buffer >= 8 * 512);
}

TEST_CASE("a transfer beyond its bound is lent a port", "[server][port_allocator]") {
    port_parts p(with(tid_mode::exclusive, 0, 2));
    std::vector<opened_port> lent;
    std::set<std::uint16_t> numbers;
    for (std::uint16_t i = 0; i < 6; ++i) {
        auto at = p.ports.open(p.ask(static_cast<std::uint16_t>(2000 + i)), {});
        REQUIRE(at.has_value());
        REQUIRE(at->lent != nullptr);
        numbers.insert(at->port->local_endpoint().port);
        lent.push_back(std::move(*at));
    }
    CHECK(numbers.size() == 2);
    CHECK(p.network.open_ports() == 3);
    p.ports.close_unused();
    CHECK(p.network.open_ports() == 3);
    lent.clear();
    p.ports.close_unused();
    CHECK(p.network.open_ports() == 1);
}

TEST_CASE("a transfer gets the port of its request", "[server][port_allocator]") {
    port_parts p(with(tid_mode::single, 10, 10));
    const auto at = p.ports.open(p.ask(), {});
    REQUIRE(at.has_value());
    CHECK(at->lent != nullptr);
    CHECK(at->port->local_endpoint() == service_address);
    CHECK_FALSE(p.ports.has_other_pair(p.ask()));
}

TEST_CASE("without any port there is an error", "[server][port_allocator]") {
    port_parts p(with(tid_mode::exclusive, 0, 0));
    const auto at = p.ports.open(p.ask(), {});
    REQUIRE_FALSE(at.has_value());
    CHECK(at.error() == errc::overloaded);
    CHECK_FALSE(p.ports.has_other_pair(p.ask()));
}

TEST_CASE("there is another pair of ports while there may be more", "[server][port_allocator]") {
    port_parts exclusive(with(tid_mode::exclusive, 1, 0));
    CHECK(exclusive.ports.has_other_pair(exclusive.ask()));
    port_parts pooled(with(tid_mode::pooled, 0, 1));
    CHECK(pooled.ports.has_other_pair(pooled.ask()));
}
