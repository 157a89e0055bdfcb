#include "server/negotiator.hpp"
#include "shard_parts.hpp"

#include <tftp/server/policy.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <optional>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

verdict granted_by(const service_config& config) {
    return default_policy().decide({}, config);
}

} // namespace

TEST_CASE("content is asked for by the name that was decided", "[server][negotiator]") {
    shard_parts p;
    const incoming_request a = p.request(wrq("asked", {{"tsize", "77"}}));
    grant granted{granted_by(sim_config()), {}};
    CHECK(negotiator::content_for(a, granted).name == "asked");
    CHECK(negotiator::content_for(a, granted).announced_size == 77U);
    granted.decided.name = "decided";
    CHECK(negotiator::content_for(a, granted).name == "decided");
    const incoming_request read = p.request(rrq("asked", {{"tsize", "77"}}));
    CHECK_FALSE(negotiator::content_for(read, granted).announced_size);
}

TEST_CASE("a read gets what the verdict allows", "[server][negotiator]") {
    shard_parts p;
    negotiator n(p.context);
    const incoming_request a =
        p.request(rrq("file", {{"blksize", "1400"}, {"windowsize", "64"}, {"tsize", "0"}}));
    verdict decided = granted_by(sim_config());
    decided.options.blksize = 1024;
    decided.options.windowsize = 8;
    answer answered = n.answer_read(a, decided, 5000);
    CHECK(answered.agreed.blksize == 1024);
    CHECK(answered.agreed.windowsize == 8);
    CHECK(answered.agreed.tsize == 5000U);
}

TEST_CASE("an unproven client gets no more than its port allows", "[server][negotiator]") {
    service_config config = sim_config();
    config.options.windowsize = 1000;
    shard_parts p(config);
    negotiator n(p.context);
    const verdict decided = granted_by(config);
    const incoming_request a =
        p.request(rrq("file", {{"blksize", "1400"}, {"windowsize", "1000"}}));
    answer own = n.answer_read(a, decided, 100'000'000);
    n.bound_read(a, decided, false, 100'000'000, own);
    CHECK(own.agreed.windowsize == unproven_window(unproven_bytes(config.ports_to_guess), 1400));
    answer lent = n.answer_read(a, decided, 100'000'000);
    n.bound_read(a, decided, true, 100'000'000, lent);
    CHECK(lent.agreed.windowsize == shared_window_max);
}

TEST_CASE("a client in debt gets single blocks and a short opening", "[server][negotiator]") {
    shard_parts p;
    negotiator n(p.context);
    const verdict decided = granted_by(sim_config());
    const incoming_request a = p.request(rrq("file", {{"windowsize", "8"}}));
    CHECK(n.engine_for(a, decided, 0).opening_sends == decided.engine.opening_sends);
    while (p.context.admission.owed_by(a.who.peer, p.now) == destination_budget::state::free) {
        p.context.admission.charge(a.who.peer, 1'000'000, p.now);
    }
    answer answered = n.answer_read(a, decided, 100'000);
    n.bound_read(a, decided, false, 100'000, answered);
    CHECK(answered.agreed.windowsize == 1);
    CHECK(n.engine_for(a, decided, 0).opening_sends == 1);
}

TEST_CASE("in a crowd openings are sent less often", "[server][negotiator]") {
    shard_parts p;
    const negotiator n(p.context);
    const verdict decided = granted_by(sim_config());
    const incoming_request a = p.request(rrq("file"));
    const std::size_t crowd = sim_config().limits.half_open_max / 8;
    CHECK(n.engine_for(a, decided, crowd).opening_sends == decided.engine.opening_sends);
    CHECK(n.engine_for(a, decided, crowd + 1).opening_sends == 2);
}

TEST_CASE("windows of text and of uploads fit their memory", "[server][negotiator]") {
    shard_parts p;
    negotiator n(p.context);
    const verdict decided = granted_by(sim_config());
    const incoming_request text =
        p.request(rrq("file", {{"blksize", "32768"}, {"windowsize", "64"}}, "netascii"));
    CHECK(n.answer_read(text, decided, std::nullopt).agreed.windowsize == 4);
    const incoming_request up = p.request(wrq("up", {{"blksize", "1024"}, {"windowsize", "64"}}));
    answer answered = n.answer_write(up, decided);
    n.bound_write(up, decided, *p.listening, true, true, answered);
    CHECK(answered.agreed.windowsize == 1);
    answered = n.answer_write(up, decided);
    n.bound_write(up, decided, *p.listening, true, false, answered);
    CHECK(answered.agreed.windowsize == shared_window_max);
    answered = n.answer_write(up, decided);
    n.bound_write(up, decided, *p.listening, false, false, answered);
    CHECK(answered.agreed.windowsize == 64);
}
