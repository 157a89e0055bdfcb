#include "support/sim_world.hpp"

#include <tftp/server/policy.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Decides as a test says, and keeps what it was asked.
class scripted_policy final : public request_policy {
public:
    struct question {
        endpoint peer;
        endpoint local;
        transfer_direction direction;
        std::string name;
        transfer_mode mode;
        std::string blksize;
    };

    [[nodiscard]] verdict
    decide(const request_facts& facts, const service_config& config) const override {
        asked.push_back(
            {facts.peer,
             facts.local,
             facts.direction,
             std::string(facts.name),
             facts.mode,
             std::string(facts.options.find("blksize").value_or(""))}
        );
        verdict decided = default_policy().decide(facts, config);
        change(decided);
        return decided;
    }

    std::function<void(verdict&)> change = [](verdict&) {};
    mutable std::vector<question> asked;
};

} // namespace

TEST_CASE("the default policy grants what the configuration allows", "[server][policy]") {
    service_config config;
    config.options.blksize = 1024;
    config.blksize_auto = false;
    config.engine.give_up = 7s;
    const verdict decided = default_policy().decide({}, config);
    CHECK_FALSE(decided.refused);
    CHECK(decided.rule == "default");
    CHECK(decided.name.empty());
    CHECK(decided.files == nullptr);
    CHECK(decided.options.blksize == 1024);
    CHECK_FALSE(decided.blksize_auto);
    CHECK(decided.engine.give_up == 7s);
}

TEST_CASE("a policy is told what a request says", "[driver][policy]") {
    scripted_policy policy;
    sim_world w(sim_config(), nullptr, &policy);
    const auto client = w.peer();
    w.say(*client, wrq("up", {{"blksize", "600"}}));
    REQUIRE(policy.asked.size() == 1);
    const auto& asked = policy.asked.front();
    CHECK(asked.peer == client_address.with_port(2000));
    CHECK(asked.local == service_address);
    CHECK(asked.direction == transfer_direction::write);
    CHECK(asked.name == "up");
    CHECK(asked.mode == transfer_mode::octet);
    CHECK(asked.blksize == "600");
}

TEST_CASE("a policy refuses with a code and a text of its own", "[driver][policy]") {
    scripted_policy policy;
    policy.change = [](verdict& decided) {
        decided.refused = {
            peer_errc::access_violation, "not for you", make_error_code(errc::forbidden)};
    };
    service_config config = sim_config();
    config.limits.requests_per_client_per_second = 2;
    sim_world w(config, nullptr, &policy);
    w.files.set("file", "content");
    const auto client = w.peer();
    for (int i = 0; i < 2; ++i) {
        w.say(*client, rrq("file"));
        expect(*client, error_packet(peer_errc::access_violation, "not for you"));
    }
    REQUIRE(w.finished.all.size() == 2);
    CHECK(w.finished.all.back().outcome == errc::forbidden);
    // Who asks too fast hears nothing.
    w.say(*client, rrq("file"));
    CHECK_FALSE(client->take());
    CHECK(w.finished.all.back().outcome == errc::too_fast);
    CHECK(w.serving->transfers() == 0);
}

TEST_CASE("a policy names other content and grants less", "[driver][policy]") {
    scripted_policy policy;
    memory_content elsewhere;
    elsewhere.set("real", std::string(3000, 'x'));
    policy.change = [&elsewhere](verdict& decided) {
        decided.name = "real";
        decided.files = &elsewhere;
        decided.options.blksize = 1000;
    };
    sim_world w(sim_config(), nullptr, &policy);
    const auto client = w.peer();
    w.say(*client, rrq("asked", {{"blksize", "1400"}, {"tsize", "0"}}));
    expect(*client, oack({{"blksize", "1000"}, {"tsize", "3000"}}));
}

TEST_CASE("requests after a change get what the new configuration allows", "[driver][policy]") {
    sim_world w;
    w.files.set("file", std::string(3000, 'x'));
    const auto before = w.peer(2000);
    w.say(*before, rrq("file", {{"blksize", "1400"}}));
    const endpoint granted = expect(*before, oack({{"blksize", "1400"}}));
    service_config changed = sim_config();
    changed.options.blksize = 1000;
    w.serving->configure(std::make_shared<const service_config>(changed), w.now);
    const auto after = w.peer(2001);
    w.say(*after, rrq("file", {{"blksize", "1400"}}));
    expect(*after, oack({{"blksize", "1000"}}));
    // What runs keeps what it was granted.
    w.say(*before, ack(0), granted);
    const auto block = before->take();
    REQUIRE(block);
    CHECK(block->octets.size() == header_size + 1400);
}
