#include "bench.hpp"
#include "support/octets.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

/// Uploads to, and downloads from, a file system that may wait for another machine: nothing of it
/// is touched in the thread that serves.
using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr bool hosted = true;

/// Starts an upload to a remote place; it is ready for block 1 then.
void begin(bench& b, const datagram& answer) {
    b.sink->far = true;
    b.begin();
    b.expect(answer);
}

datagram full(std::uint16_t block) {
    return data(block, 512);
}

} // namespace

TEST_CASE("a remote upload is written by the host, then acknowledged", "[driver][transfer]") {
    bench b(option_pairs{}, hosted);
    begin(b, ack(0));
    b.say(full(1));
    CHECK(b.sink->writes == 0);
    CHECK_FALSE(b.remote->take());
    // What comes meanwhile waits in the socket's buffer.
    CHECK_FALSE(b.under_test->wants().read);
    b.host.work();
    CHECK(b.sink->writes == 1);
    CHECK(b.under_test->wants().read);
    b.expect(ack(1));
    b.say(data(2, 100));
    b.host.work();
    CHECK(b.sink->commits == 0);
    b.host.work();
    CHECK(b.sink->commits == 1);
    b.expect(ack(2));
    CHECK(b.sink->content.size() == 612);
    CHECK(b.host.budget->left() == std::size_t{64} << 20);
}

TEST_CASE("a window of a remote upload is one write and one ACK", "[driver][transfer]") {
    bench b({{"windowsize", "4"}}, hosted);
    begin(b, oack({{"windowsize", "4"}}));
    for (std::uint16_t block = 1; block <= 4; ++block) {
        b.network.transmit(*b.remote, b.local, full(block));
    }
    b.readable();
    REQUIRE(b.host.jobs.size() == 1);
    b.host.work();
    CHECK(b.sink->writes == 1);
    b.expect(ack(4));
    CHECK_FALSE(b.remote->take());
}

TEST_CASE("a remote disk that is full is told to the peer", "[driver][transfer]") {
    bench b({{"tsize", "100000"}}, hosted);
    begin(b, oack({{"tsize", "100000"}}));
    SECTION("when the size is reserved") {
        b.sink->reserve_error = system_error(ENOSPC);
    }
    SECTION("when it is written") {
        b.sink->write_error = system_error(ENOSPC);
    }
    b.say(full(1));
    b.host.work();
    CHECK(b.sink->reserved == 100'000U);
    CHECK(b.error_code_sent() == peer_errc::disk_full);
    b.check_closed(system_error(ENOSPC));
    CHECK(b.sink->commits == 0);
}

TEST_CASE("a remote upload waits while memory is short", "[driver][transfer][limits]") {
    bench b(option_pairs{}, hosted);
    begin(b, ack(0));
    {
        const budget_share all(*b.host.budget, b.host.budget->left(), budget_use::reading);
        b.say(full(1));
        CHECK_FALSE(b.under_test->wants().read);
        CHECK(b.host.jobs.empty());
        REQUIRE(b.under_test->deadline());
        REQUIRE(*b.under_test->deadline() > b.now);
        b.pass(*b.under_test->deadline() - b.now);
        CHECK(b.under_test->wants().read);
        b.readable();
        CHECK(b.host.jobs.empty());
    }
    b.pass(*b.under_test->deadline() - b.now);
    b.readable();
    b.host.work();
    b.expect(ack(1));
}

TEST_CASE("a batch with nothing to store keeps no memory", "[driver][transfer][limits]") {
    bench b(option_pairs{}, hosted);
    begin(b, ack(0));
    b.say(full(1));
    b.host.work();
    b.expect(ack(1));
    const std::size_t whole = std::size_t{64} << 20;
    SECTION("a copy") {
        b.say(full(1));
    }
    SECTION("what is no packet") {
        b.say(datagram(3));
    }
    SECTION("no datagram at all") {
        b.readable();
    }
    CHECK(b.host.jobs.empty());
    CHECK(b.host.budget->left() == whole);
}

TEST_CASE("a remote upload passes through less memory than a batch", "[driver][transfer][limits]") {
    const bool windows = GENERATE(false, true);
    bench b(windows ? option_pairs{{"windowsize", "2"}} : option_pairs{}, hosted);
    b.host.budget.emplace(100U);
    begin(b, windows ? oack({{"windowsize", "2"}}) : ack(0));
    b.say(full(1));
    CHECK(b.host.budget->left() == 0);
    b.host.work();
    b.say(data(2, 10));
    b.host.work();
    b.host.work();
    CHECK(b.sink->commits == 1);
    CHECK(b.host.budget->left() == 100);
}

TEST_CASE("those that wait for memory look less and less often", "[driver][transfer][limits]") {
    bench b(std::string(1000, 'x'), {}, hosted);
    b.source->cold = true;
    const budget_share all(*b.host.budget, b.host.budget->left(), budget_use::reading);
    b.begin();
    std::vector<duration> waits;
    for (int i = 0; i < 8; ++i) {
        waits.push_back(*b.under_test->deadline() - b.now);
        b.pass(waits.back());
    }
    CHECK(waits.front() == 10ms);
    CHECK(waits[1] == 20ms);
    CHECK(waits.back() == 640ms);
}

TEST_CASE("a read that outlasts the client is the disk's fault", "[driver][transfer]") {
    bench b(std::string(1000, 'x'), {}, hosted);
    b.source->cold = true;
    b.begin();
    REQUIRE(b.host.jobs.size() == 1);
    for (int i = 0; i < 100 && !b.under_test->closed(); ++i) {
        b.pass(1s);
    }
    b.check_closed(errc::stalled);
}

TEST_CASE("copies that come while a commit runs take no memory", "[driver][transfer][limits]") {
    bench b(option_pairs{}, hosted);
    begin(b, ack(0));
    b.say(data(1, 10));
    b.host.work();
    {
        const budget_share all(*b.host.budget, b.host.budget->left(), budget_use::reading);
        b.say(data(1, 10));
        CHECK(b.under_test->wants().read);
        b.host.work();
    }
    CHECK(b.under_test->wants().read);
    b.expect(ack(1));
}

TEST_CASE("a transfer gives its sink up with the commit", "[driver][transfer]") {
    const bool in_pool = GENERATE(true, false);
    const bool far = GENERATE(true, false);
    bench b(option_pairs{}, in_pool);
    b.sink->far = far;
    b.sink->commit_error = GENERATE(error_code(), system_error(ENOSPC));
    b.begin();
    b.expect(ack(0));
    b.say(data(1, 10));
    while (!b.host.jobs.empty()) {
        b.host.work();
    }
    CHECK(b.sink->commits == 1);
    b.host.disposed.clear();
    CHECK(b.sink.use_count() == 1);
    if (!b.sink->commit_error) {
        b.expect(ack(1));
        CHECK_FALSE(b.under_test->closed());
        // It repeats its last ACK all the same.
        b.say(data(1, 10));
        b.expect(ack(1));
    }
}

TEST_CASE("what the host has read around a block is kept", "[driver][transfer]") {
    const std::string content = make_content(5000, 1);
    bench b(content, {}, hosted);
    b.source->cold = true;
    b.source->all_at_once = true;
    b.begin();
    b.host.work();
    CHECK(b.blocks() == std::vector<unsigned>{1});
    CHECK(b.source->kept == content);
    CHECK(b.host.budget->left() == std::size_t{64} << 20);
    b.say(ack(1));
    b.host.work();
    // A part of what came, from its own place on.
    const auto second = b.remote->take();
    REQUIRE(second);
    CHECK(text(bytes_view(second->octets).subspan(4)) == content.substr(512, 512));
}

TEST_CASE("a cold read waits while memory is short", "[driver][transfer][limits]") {
    bench b(std::string(1000, 'x'), {}, hosted);
    b.source->cold = true;
    {
        const budget_share all(*b.host.budget, b.host.budget->left(), budget_use::reading);
        b.begin();
        CHECK(b.host.jobs.empty());
    }
    b.pass(*b.under_test->deadline() - b.now);
    b.host.work();
    CHECK(b.blocks() == std::vector<unsigned>{1});
    CHECK(b.host.budget->left() == std::size_t{64} << 20);
}

TEST_CASE("an upload that was begun needs no room in the pool's queue", "[driver][transfer]") {
    const bool far = GENERATE(false, true);
    bench b(option_pairs{}, hosted);
    b.sink->far = far;
    b.begin();
    b.expect(ack(0));
    b.host.full = true;
    b.say(data(1, 10));
    if (far) {
        b.host.work();
    }
    // Never in the thread that serves.
    CHECK(b.sink->commits == 0);
    b.host.work();
    CHECK(b.sink->commits == 1);
    b.expect(ack(1));
}

TEST_CASE("a pool without threads ends a remote upload", "[driver][transfer]") {
    bench b(option_pairs{}, hosted);
    begin(b, ack(0));
    SECTION("before a write") {
        b.host.gone = true;
        b.say(full(1));
    }
    SECTION("before the commit") {
        b.say(data(1, 10));
        b.host.gone = true;
        b.host.work();
    }
    CHECK(b.error_code_sent() == peer_errc::undefined);
    b.check_closed(errc::overloaded);
    CHECK(b.sink->commits == 0);
}

TEST_CASE("a remote file is destroyed by the host", "[driver][transfer]") {
    SECTION("of a download") {
        bench b(std::string(100, 'x'), {}, hosted);
        b.source->far = true;
        b.begin();
        b.say(ack(1));
        CHECK_FALSE(b.source->unshared);
        b.under_test->release_file();
        REQUIRE(b.host.disposed.size() == 1);
        CHECK(b.host.disposed[0] == b.source);
        // It may be destroyed in another thread now.
        CHECK(b.source->unshared);
    }
    SECTION("of an upload that ends while it is written") {
        bench b(option_pairs{}, hosted);
        begin(b, ack(0));
        b.say(full(1));
        b.under_test->abort(peer_errc::undefined, "enough", errc::stopped, b.memory, b.now);
        b.under_test->release_file();
        b.under_test.reset();
        b.host.work();
        CHECK(b.host.disposed.size() == 2);
        CHECK(b.host.budget->left() == std::size_t{64} << 20);
    }
    SECTION("but a local one is not") {
        bench b(std::string(100, 'x'), {}, hosted);
        b.begin();
        b.say(ack(1));
        b.under_test->release_file();
        CHECK(b.host.disposed.empty());
    }
}

TEST_CASE("a receive that keeps failing has the port rest", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.begin();
    CHECK(b.blocks() == std::vector<unsigned>{1});
    b.network.faults = {{port_call::receive, 1, ENOMEM, 0}};
    b.say(ack(1));
    CHECK_FALSE(b.under_test->wants().read);
    REQUIRE(b.under_test->deadline());
    b.pass(*b.under_test->deadline() - b.now);
    CHECK(b.under_test->wants().read);
    b.readable();
    CHECK(b.blocks() == std::vector<unsigned>{2});
    // What fails again later begins with a short rest again.
    b.network.faults.push_back(
        {port_call::receive, b.network.calls(port_call::receive) + 1, ENOMEM, 0}
    );
    b.say(ack(2));
    REQUIRE(b.under_test->deadline());
    CHECK(*b.under_test->deadline() - b.now == 10ms);
}
