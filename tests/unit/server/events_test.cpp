#include "support/sim_world.hpp"

#include <tftp/server/counters.hpp>
#include <tftp/server/policy.hpp>
#include <tftp/transfer/events.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <set>
#include <string>
#include <string_view>

/// What an observer hears, and what is counted.
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

class refusing_policy final : public request_policy {
public:
    [[nodiscard]] verdict decide(const request_facts&, const service_config&) const override {
        verdict decided;
        decided.refused = {peer_errc::access_violation, "no", make_error_code(errc::forbidden)};
        decided.rule = "closed";
        return decided;
    }
};

/// The last thing that was dropped had this reason, and that is counted.
void check_dropped(sim_world& w, reason why) {
    INFO(to_string(why));
    REQUIRE_FALSE(w.finished.dropped.empty());
    CHECK(to_string(w.finished.dropped.back().why) == to_string(why));
    CHECK(w.serving->counters().read().of(why) == 1);
}

void check_refused(sim_world& w, reason why) {
    INFO(to_string(why));
    REQUIRE_FALSE(w.finished.refused.empty());
    CHECK(to_string(w.finished.refused.back().why) == to_string(why));
    CHECK(w.serving->counters().read().of(why) == 1);
    CHECK(w.finished.all.back().outcome == w.finished.refused.back().what);
}

} // namespace

TEST_CASE("every reason has a name of its own", "[server][events]") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < reasons; ++i) {
        names.insert(to_string(static_cast<reason>(i)));
    }
    CHECK(names.size() == reasons);
    CHECK_FALSE(names.contains(""));
    CHECK(to_string(reason::source_port_zero) == "source_port_zero");
    CHECK(to_string(reason::shortage) == "shortage");
    CHECK(to_string(static_cast<reason>(reasons)).empty());
}

TEST_CASE("a transfer is heard of from its request to its end", "[driver][events]") {
    sim_world w;
    w.files.set("file", std::string(1000, 'x'));
    const auto client = w.peer();
    w.say(*client, rrq("file", {{"blksize", "600"}}));
    const endpoint tid = expect(*client, oack({{"blksize", "600"}}));
    CHECK(w.finished.requested == std::vector<std::string>{"file"});
    CHECK(w.finished.started == std::vector<std::string>{"file default 600"});
    w.say(*client, ack(0), tid);
    w.now += 3s;
    w.say(*client, ack(1), tid);
    const auto running = w.serving->progress(w.now);
    REQUIRE(running.size() == 1);
    CHECK(running[0].filename == "file");
    CHECK(running[0].counters.bytes == 600);
    CHECK(running[0].elapsed == 3s);
    CHECK(w.finished.all.empty());
    w.say(*client, ack(2), tid);
    REQUIRE(w.finished.all.size() == 1);
    CHECK(w.serving->progress(w.now).empty());
    const server_counts counts = w.serving->counters().read();
    CHECK(counts.requests == 1);
    CHECK(counts.started == 1);
    CHECK(counts.succeeded == 1);
    CHECK(counts.failed == 0);
    CHECK(counts.bytes_sent == 1000);
    CHECK(counts.bytes_received == 0);
    CHECK(w.finished.dropped.empty());
    CHECK(w.finished.refused.empty());
}

TEST_CASE("an upload that fails is counted", "[driver][events]") {
    sim_world w;
    const auto client = w.peer();
    w.say(*client, wrq("up"));
    const endpoint tid = expect(*client, ack(0));
    w.say(*client, data(1, 512), tid);
    w.say(*client, error_packet(peer_errc::undefined), tid);
    const server_counts counts = w.serving->counters().read();
    CHECK(counts.failed == 1);
    CHECK(counts.bytes_received == 512);
}

TEST_CASE("what no client sends is dropped with its reason", "[driver][events]") {
    sim_world w;
    SECTION("from port 0") {
        w.listener->deliver(client_address, service_address, rrq("file"));
        w.settle();
        check_dropped(w, reason::source_port_zero);
    }
    SECTION("to a group's address") {
        w.listener->group = true;
        w.say(*w.peer(), rrq("file"));
        check_dropped(w, reason::sent_to_group);
    }
    SECTION("from a server") {
        w.say(*w.peer(69), rrq("file"));
        check_dropped(w, reason::source_is_server);
    }
    SECTION("something else than a request") {
        w.say(*w.peer(), ack(1));
        check_dropped(w, reason::not_a_request);
        CHECK(w.finished.dropped.back().peer == client_address.with_port(2000));
    }
    SECTION("an opcode that nobody knows") {
        w.say(*w.peer(), {std::byte{0}, std::byte{9}});
        check_dropped(w, reason::not_a_request);
    }
    CHECK(w.serving->counters().read().requests == 0);
}

TEST_CASE("packets of nobody's transfer are counted", "[driver][events]") {
    service_config config = sim_config();
    config.tids = tid_mode::single;
    sim_world w(config);
    w.say(*w.peer(), ack(1));
    check_dropped(w, reason::stranger);
}

TEST_CASE("requests that are not answered have their reason", "[driver][events]") {
    sim_world w;
    w.files.set("file", std::string(3000, '\x01'));
    const auto client = w.peer();
    w.say(*client, rrq("file"));
    SECTION("a repeated one") {
        w.say(*client, rrq("file"));
        check_dropped(w, reason::repeated);
    }
    SECTION("one that its own transfer has overtaken") {
        const endpoint tid = expect(*client, data(1, 512));
        w.say(*client, ack(1), tid);
        w.say(*client, rrq("other"));
        CHECK(w.finished.dropped.empty());
        w.say(*client, ack(2), tid);
        w.advance(200ms);
        check_dropped(w, reason::overtaken);
    }
    CHECK(w.serving->counters().read().requests == 1);
}

TEST_CASE("a client that asks too fast has its reason", "[driver][events]") {
    service_config config = sim_config();
    config.limits.requests_per_client_per_second = 1;
    sim_world w(config);
    w.say(*w.peer(2000), rrq("none"));
    check_refused(w, reason::content);
    w.say(*w.peer(2001), rrq("none"));
    check_dropped(w, reason::client_pace);
}

TEST_CASE("a shared port that takes no more requests says so", "[driver][events]") {
    service_config config = sim_config();
    config.tids = tid_mode::single;
    config.limits.requests_per_second = 1;
    sim_world w(config);
    w.files.set("file", "x");
    SECTION("for the moment") {
        w.say(*w.peer(2000), rrq("file"));
        w.say(*w.peer(2001), rrq("file"));
        check_dropped(w, reason::server_pace);
    }
    SECTION("for good") {
        w.serving->close_listeners();
        w.say(*w.peer(2000), rrq("file"));
        check_dropped(w, reason::not_accepting);
    }
}

TEST_CASE("requests that are refused have their reason", "[driver][events]") {
    SECTION("malformed") {
        sim_world w;
        w.say(*w.peer(), {std::byte{0}, std::byte{1}, std::byte{'x'}});
        check_refused(w, reason::malformed);
    }
    SECTION("a mode that is not served") {
        sim_world w;
        w.say(*w.peer(), rrq("file", {}, "mail"));
        check_refused(w, reason::unsupported_mode);
    }
    SECTION("by the policy") {
        const refusing_policy policy;
        sim_world w(sim_config(), nullptr, &policy);
        w.say(*w.peer(), rrq("file"));
        check_refused(w, reason::policy);
        CHECK(w.finished.refused.back().rule == "closed");
        CHECK(w.finished.requested.size() == 1);
    }
    SECTION("too many transfers") {
        const bool of_client = GENERATE(false, true);
        service_config config = sim_config();
        (of_client ? config.limits.transfers_per_client_max : config.limits.transfers_max) = 1;
        sim_world w(config);
        w.files.set("file", std::string(3000, '\x01'));
        const auto first = w.peer(2000);
        w.say(*first, rrq("file"));
        const endpoint tid = expect(*first, data(1, 512));
        w.say(*first, ack(1), tid);
        w.say(*w.peer(2001), rrq("file"));
        check_refused(w, of_client ? reason::client_overloaded : reason::overloaded);
    }
    SECTION("no port") {
        service_config config = sim_config();
        config.limits.exclusive_ports_max = 0;
        config.limits.shared_ports_max = 0;
        sim_world w(config);
        w.files.set("file", "x");
        w.say(*w.peer(), rrq("file"));
        check_refused(w, reason::no_port);
    }
    SECTION("descriptors are short") {
        sim_world w;
        w.files.fail("file", make_error_code(boost::system::errc::too_many_files_open));
        w.say(*w.peer(), rrq("file"));
        check_refused(w, reason::shortage);
    }
}

TEST_CASE("counts of shards add up", "[server][events]") {
    shard_counters one;
    one.requests.add();
    one.bytes_sent.add(5);
    one.count(reason::stranger);
    server_counts sum = one.read();
    sum += one.read();
    CHECK(sum.requests == 2);
    CHECK(sum.bytes_sent == 10);
    CHECK(sum.of(reason::stranger) == 2);
    CHECK(sum.of(reason::shortage) == 0);
}
