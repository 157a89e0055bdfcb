#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/sim_world.hpp"

#include <tftp/socket/packet_tap.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

struct passed {
    endpoint from;
    endpoint to;
    datagram bytes;

    friend bool operator==(const passed&, const passed&) = default;
};

/// Keeps what it is shown, at the time of a simulation.
class recorder final : public packet_tap {
public:
    explicit recorder(const time_point& now) : now_(now) {}

    void on_sent(const tapped_datagram& d) noexcept override {
        sent.push_back({d.local, d.peer, {d.bytes.begin(), d.bytes.end()}});
    }

    void on_received(const tapped_datagram& d) noexcept override {
        taken.push_back({d.peer, d.local, {d.bytes.begin(), d.bytes.end()}});
        late = late || d.when != now_;
    }

    [[nodiscard]] time_point now() const noexcept override { return now_; }

    std::vector<passed> sent;
    std::vector<passed> taken;
    bool late = false;

private:
    const time_point& now_;
};

} // namespace

TEST_CASE("a tap sees every datagram of a server and its client", "[driver][service][packet_tap]") {
    service_config config = sim_config();
    config.tids = GENERATE(tid_mode::exclusive, tid_mode::pooled, tid_mode::single);
    sim_world w(config);
    w.network.holds = true;
    recorder server_tap(w.now);
    recorder client_tap(w.now);
    tapped_socket_factory server_ports(w.server_host, server_tap);
    tapped_socket_factory client_ports(w.client_host, client_tap);
    w.serving.reset();
    w.serving = std::make_unique<shard>(
        shard_dependencies{w.files, server_ports, w.loop, w.finished}, config, w.now
    );
    socket_options options;
    options.local_addresses = true;
    options.waiting_times = true;
    REQUIRE_FALSE(w.serving->listen(
        std::make_unique<tapped_socket>(w.network.open(service_address, options), server_tap)
    ));

    std::vector<passed> from_server;
    std::vector<passed> from_client;
    w.network.passes = [&](const endpoint& from, const endpoint& to, bytes_view bytes) {
        auto& side = from.same_host(service_address) ? from_server : from_client;
        side.push_back({from, to, {bytes.begin(), bytes.end()}});
        return true;
    };
    const std::string content = make_content(200'000, 1);
    w.files.set("file", content);
    w.files.in_place = true;
    client_request asked;
    asked.server = service_address;
    asked.filename = "file";
    asked.options.blksize = 1024;
    asked.options.windowsize = 32;
    memory_sink into(content.size());
    const auto reading = begin_get(asked, into, client_ports, w.now).value();
    CHECK_FALSE(w.drive(*reading).outcome);
    CHECK(text(into.content()) == content);
    // Content that is in memory was read all the same, so that the tap could be shown it.
    CHECK(w.network.calls(port_call::cork) == 0);

    CHECK(from_server.size() > content.size() / 1024);
    CHECK(server_tap.sent == from_server);
    CHECK(server_tap.taken == from_client);
    CHECK(client_tap.sent == from_client);
    CHECK(client_tap.taken == from_server);
    CHECK_FALSE(server_tap.late);
    CHECK_FALSE(client_tap.late);
    w.serving.reset();
}
