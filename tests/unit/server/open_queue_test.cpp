#include "server/open_queue.hpp"
#include "shard_parts.hpp"

#include <tftp/server/policy.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Notes what comes out of the queue.
class outcome_list final : public open_queue::handler {
public:
    void on_opened(const incoming_request& a, grant, opened_content opened) noexcept override {
        const bool read = a.request.op == opcode::rrq;
        const bool good = read ? opened.from.has_value() : opened.into.has_value();
        all.push_back(std::string(a.request.filename) + (good ? " opened" : " failed"));
    }

    void on_given_up(const incoming_request& a, reason why, const error_code&) noexcept override {
        all.push_back(std::string(a.request.filename) + " " + std::string(to_string(why)));
    }

    std::vector<std::string> all;
};

class queue_parts {
public:
    shard_parts p{sim_config(), &pool};
    // Ends first, as a pool does.
    manual_pool pool;
    outcome_list out;
    open_queue queue{p.context, p.runner, out};

    bool open(const incoming_request& a) {
        return queue.open(a, {default_policy().decide({}, p.context.config()), {}});
    }

    /// Lets the jobs that have run come back.
    void drain() {
        for (const auto& [fd, watched] : std::map(p.loop.watched)) {
            watched.second->on_event(true, false, p.now);
        }
    }
};

} // namespace

TEST_CASE("a queue hands back what the pool has opened", "[server][open_queue]") {
    queue_parts q;
    q.p.files.set("file", "content");
    CHECK(q.open(q.p.request(rrq("file"), 2000)));
    CHECK(q.open(q.p.request(rrq("none"), 2001)));
    CHECK(q.open(q.p.request(wrq("up"), 2002)));
    CHECK(q.queue.size() == 3);
    CHECK(q.out.all.empty());
    for (int i = 0; i < 3; ++i) {
        q.pool.run_one();
    }
    q.drain();
    CHECK(q.out.all == std::vector<std::string>{"file opened", "none failed", "up opened"});
    CHECK(q.queue.size() == 0);
}

TEST_CASE("a queue opens what was decided, where it was decided", "[server][open_queue]") {
    queue_parts q;
    memory_content elsewhere;
    elsewhere.set("real", "content");
    grant granted{default_policy().decide({}, q.p.context.config()), {}};
    granted.decided.name = "real";
    granted.decided.files = &elsewhere;
    CHECK(q.queue.open(q.p.request(rrq("asked")), std::move(granted)));
    q.pool.run_one();
    q.drain();
    CHECK(q.out.all == std::vector<std::string>{"asked opened"});
}

TEST_CASE("a queue that the pool turns away keeps nothing", "[server][open_queue]") {
    queue_parts q;
    q.pool.full = true;
    CHECK_FALSE(q.open(q.p.request(rrq("file"))));
    CHECK(q.queue.size() == 0);
}

TEST_CASE("a second request waits for the first, but not for ever", "[server][open_queue]") {
    queue_parts q;
    const incoming_request first = q.p.request(rrq("file"));
    CHECK(q.open(first));
    CHECK(q.queue.contains(first.who));
    CHECK(q.queue.absorb(q.p.request(rrq("file"))));
    CHECK(q.queue.absorb(q.p.request(rrq("other"))));
    q.p.now += 2s;
    // A copy never takes the place; another request does.
    CHECK(q.queue.absorb(q.p.request(rrq("file"))));
    CHECK_FALSE(q.queue.absorb(q.p.request(rrq("other"))));
    CHECK_FALSE(q.queue.contains(first.who));
    q.pool.run_one();
    q.drain();
    CHECK(q.out.all.empty());
}

TEST_CASE("a queue gives up", "[server][open_queue]") {
    queue_parts q;
    const incoming_request first = q.p.request(rrq("first"), 2000);
    CHECK(q.open(first));
    SECTION("one of a client that asks for more") {
        CHECK(q.queue.evict_one_of(first.who.peer.with_port(9), q.p.now));
        CHECK_FALSE(q.queue.evict_one_of(first.who.peer, q.p.now));
        CHECK(q.out.all == std::vector<std::string>{"first opening_evicted"});
    }
    SECTION("what has waited too long") {
        q.p.now += q.p.context.config().engine.give_up - 1s;
        CHECK(q.open(q.p.request(rrq("second"), 2001)));
        q.queue.give_up_stale(q.p.now);
        CHECK(q.out.all.empty());
        q.p.now += 1s;
        q.queue.give_up_stale(q.p.now);
        CHECK(q.out.all == std::vector<std::string>{"first opening_stalled"});
        CHECK(q.queue.size() == 1);
    }
    SECTION("all") {
        q.queue.clear();
        CHECK(q.queue.size() == 0);
        q.pool.run_one();
        q.drain();
        CHECK(q.out.all.empty());
    }
}
