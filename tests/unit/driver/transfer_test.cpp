#include "support/builders.hpp"
#include "support/engines.hpp"
#include "support/files.hpp"
#include "support/sim_port.hpp"

#include <tftp/driver/transfer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

[[nodiscard]] error_code system_error(int number) {
    return {number, boost::system::system_category()};
}

/// Content that can be cold, fail, or turn out shorter than promised.
class moody_source final : public io::source {
public:
    explicit moody_source(std::string content)
        : content_(std::move(content)), promised(content_.size()) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override { return promised; }

    [[nodiscard]] result<io::read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (cold) {
            return make_error_code(errc::would_block);
        }
        return read(offset, gaps);
    }

    [[nodiscard]] result<io::read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        ++reads;
        if (error) {
            return error;
        }
        return io::memory_source(std::as_bytes(std::span(content_))).read(offset, gaps);
    }

private:
    std::string content_;

public:
    std::optional<std::uint64_t> promised;
    bool cold = false;
    error_code error;
    int reads = 0;
};

/// A place for content that can fail at any step.
class moody_sink final : public io::sink {
public:
    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        reserved = size_bytes;
        return reserve_error;
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        ++writes;
        if (write_error) {
            return write_error;
        }
        REQUIRE(offset == content.size());
        for (const ::iovec& payload : payloads) {
            content.append(static_cast<const char*>(payload.iov_base), payload.iov_len);
        }
        return {};
    }

    [[nodiscard]] error_code commit() noexcept override {
        ++commits;
        return commit_error;
    }

    std::optional<std::uint64_t> reserved;
    error_code reserve_error;
    error_code write_error;
    error_code commit_error;
    std::string content;
    int writes = 0;
    int commits = 0;
};

/// A host whose pool works when the test says so.
class manual_host final : public io::transfer_host {
public:
    explicit manual_host(io::scratch& memory) : memory_(memory) {}

    [[nodiscard]] bool offload(std::unique_ptr<io::blocking_job> job) noexcept override {
        if (full) {
            return false;
        }
        jobs.push_back(std::move(job));
        return true;
    }

    void resumed(io::transfer& owner) noexcept override { owner.on_resumed(memory_, now); }

    /// Does the oldest job.
    void work() {
        REQUIRE_FALSE(jobs.empty());
        const auto job = std::move(jobs.front());
        jobs.erase(jobs.begin());
        job->run();
        job->done();
    }

    std::vector<std::unique_ptr<io::blocking_job>> jobs;
    time_point now = start;
    bool full = false;

private:
    io::scratch& memory_;
};

/// One transfer, a peer that the test speaks for, and the network between them.
class bench {
public:
    explicit bench(std::string content, const option_pairs& options = {}, bool hosted = false)
        : source(std::make_shared<moody_source>(std::move(content))) {
        under_test = std::make_unique<io::transfer>(
            setup(io::verb::read, hosted), serve_read(options, source->size()), source, start
        );
    }

    explicit bench(const option_pairs& options, bool hosted = false)
        : sink(std::make_shared<moody_sink>()) {
        under_test = std::make_unique<io::transfer>(
            setup(io::verb::write, hosted), serve_write(options), sink, start
        );
    }

    void begin() { under_test->start(memory, now); }

    /// The peer sends; the transfer hears it at once.
    void say(const datagram& octets) {
        network.transmit(*remote, local, octets);
        readable();
    }

    void readable() { under_test->on_readable(memory, now); }

    void pass(duration d) {
        now += d;
        host.now = now;
        under_test->on_deadline(memory, now);
    }

    /// Block numbers of all DATA that came, in order.
    std::vector<unsigned> blocks() {
        std::vector<unsigned> all;
        while (const auto came = remote->take()) {
            REQUIRE(came->octets[1] == std::byte{3});
            all.push_back(
                std::to_integer<unsigned>(came->octets[2]) << 8 |
                std::to_integer<unsigned>(came->octets[3])
            );
        }
        return all;
    }

    /// The code of the ERROR that came last, and nothing after it.
    peer_errc error_code_sent() {
        const auto came = remote->take();
        REQUIRE(came);
        REQUIRE(came->octets[1] == std::byte{5});
        CHECK_FALSE(remote->take());
        return static_cast<peer_errc>(came->octets[3]);
    }

    void expect(const datagram& octets) {
        const auto came = remote->take();
        REQUIRE(came);
        CHECK(to_text(came->octets) == to_text(octets));
    }

    /// The transfer is over, with this outcome.
    void check_closed(const error_code& outcome) {
        CHECK(under_test->closed());
        CHECK(under_test->completed());
        CHECK(under_test->summary().outcome == outcome);
    }

    sim_network network;
    io::scratch memory;
    manual_host host{memory};
    time_point now = start;
    std::unique_ptr<sim_port> remote = network.open(peer);
    std::shared_ptr<moody_source> source;
    std::shared_ptr<moody_sink> sink;
    endpoint local;
    std::unique_ptr<io::transfer> under_test;

private:
    io::transfer_setup setup(io::verb what, bool hosted) {
        io::port_options options;
        options.refusals = true;
        auto port = network.open(endpoint::ipv4(192, 0, 2, 2, 0), options);
        local = port->local_endpoint();
        return {what, "file", transfer_mode::octet, std::move(port), hosted ? &host : nullptr};
    }
};

using numbers = std::vector<unsigned>;

constexpr bool hosted = true;

} // namespace

TEST_CASE("transfer reads where it stands when it has no host", "[driver][transfer]") {
    bench b("content");
    b.source->cold = true;
    b.begin();
    CHECK(b.blocks() == numbers{1});
    CHECK(b.source->reads == 1);
}

TEST_CASE("transfer hands cold reads to its host", "[driver][transfer]") {
    bench b(std::string(1000, 'x'), {}, hosted);
    b.source->cold = true;
    b.begin();
    CHECK(b.blocks().empty());
    REQUIRE(b.host.jobs.size() == 1);
    SECTION("and sends what they bring") {
        b.host.work();
        CHECK(b.blocks() == numbers{1});
        CHECK(b.source->reads == 1);
        b.say(ack(1));
        b.host.work();
        CHECK(b.blocks() == numbers{2});
        b.say(ack(2));
        b.check_closed({});
    }
    SECTION("and tells the peer when they fail") {
        b.source->error = system_error(EIO);
        b.host.work();
        CHECK(b.error_code_sent() == peer_errc::undefined);
        b.check_closed(system_error(EIO));
    }
    SECTION("one at a time, without haste while a disk is slow") {
        for (int i = 0; i < 20; ++i) {
            REQUIRE(b.under_test->deadline());
            // A deadline that stays in the past would have the event loop spin.
            REQUIRE(*b.under_test->deadline() > b.now);
            b.pass(*b.under_test->deadline() - b.now);
        }
        CHECK(b.host.jobs.size() == 1);
    }
    SECTION("and may end before they do") {
        b.under_test->abort(peer_errc::undefined, "enough", errc::stopped, b.memory, b.now);
        b.check_closed(errc::stopped);
        b.under_test.reset();
        b.host.work();
    }
    SECTION("and may end after a pool that dropped them") {
        b.host.jobs.clear();
        b.under_test.reset();
    }
}

TEST_CASE("transfer asks a full pool again soon", "[driver][transfer]") {
    bench b("content", {}, hosted);
    b.source->cold = true;
    b.host.full = true;
    b.begin();
    REQUIRE(b.under_test->deadline());
    CHECK(*b.under_test->deadline() <= b.now + 100ms);
    CHECK(*b.under_test->deadline() > b.now);
    b.host.full = false;
    b.pass(*b.under_test->deadline() - b.now);
    b.host.work();
    CHECK(b.blocks() == numbers{1});
}

TEST_CASE("transfer waits for a full socket buffer", "[driver][transfer]") {
    bench b(std::string(16 * 512, 'x'), {{"windowsize", "8"}});
    b.begin();
    b.expect(oack({{"windowsize", "8"}}));
    SECTION("that took nothing") {
        b.network.faults = {{port_call::send_run, 1, EAGAIN, 0}};
        b.say(ack(0));
        CHECK(b.blocks().empty());
    }
    SECTION("that took three blocks") {
        b.network.faults = {{port_call::send_run, 1, EAGAIN, 3}};
        b.say(ack(0));
        CHECK(b.blocks() == numbers{1, 2, 3});
    }
    CHECK(b.under_test->wants().write);
    REQUIRE(b.under_test->deadline());
    CHECK(*b.under_test->deadline() > b.now);
    const std::uint64_t before = b.network.sent;
    b.under_test->on_writable(b.memory, b.now);
    CHECK_FALSE(b.under_test->wants().write);
    CHECK(b.network.sent > before);
    while (b.remote->take()) {
    }
    b.say(ack(8));
    CHECK(b.blocks() == numbers{9, 10, 11, 12, 13, 14, 15, 16});
    b.say(ack(16));
    CHECK(b.blocks() == numbers{17});
    b.say(ack(17));
    b.check_closed({});
    CHECK(b.under_test->counters().retransmissions == 0);
    CHECK(b.under_test->counters().blocks == 17);
}

TEST_CASE("transfer gives up when the socket's buffer stays full", "[driver][transfer]") {
    bench b(std::string(16 * 512, 'x'), {{"windowsize", "8"}});
    b.begin();
    b.expect(oack({{"windowsize", "8"}}));
    for (unsigned nth = 1; nth <= 100; ++nth) {
        b.network.faults.push_back({port_call::send_run, nth, EAGAIN, 0});
    }
    b.say(ack(0));
    CHECK(b.under_test->wants().write);
    for (int waits = 0; waits < 50 && !b.under_test->closed(); ++waits) {
        REQUIRE(b.under_test->deadline());
        REQUIRE(*b.under_test->deadline() > b.now);
        b.pass(*b.under_test->deadline() - b.now);
    }
    b.check_closed(errc::timed_out);
}

TEST_CASE("a send that fails is a loss", "[driver][transfer]") {
    const int error = GENERATE(ENOBUFS, EPERM, ENETUNREACH);
    bench b(std::string(1000, 'x'));
    b.network.faults = {{port_call::send_run, 1, error, 0}};
    b.begin();
    CHECK(b.blocks().empty());
    CHECK_FALSE(b.under_test->wants().write);
    REQUIRE(b.under_test->deadline());
    b.pass(*b.under_test->deadline() - b.now);
    CHECK(b.blocks() == numbers{1});
    b.say(ack(1));
    b.say(ack(2));
    b.check_closed({});
}

TEST_CASE("transfer ends when nobody listens at the peer", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    SECTION("from the start") {
        b.remote.reset();
        b.begin();
    }
    SECTION("later") {
        b.begin();
        b.say(ack(1));
        b.remote.reset();
        b.pass(*b.under_test->deadline() - b.now);
    }
    const std::uint64_t sent = b.network.sent;
    b.readable();
    b.check_closed(system_error(ECONNREFUSED));
    CHECK(b.network.sent == sent);
}

TEST_CASE("a stranger's refusal is none of the peer", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.begin();
    {
        const auto other = b.network.open(stranger);
        b.network.transmit(*other, b.local, ack(1));
    }
    b.readable();
    b.readable();
    CHECK_FALSE(b.under_test->closed());
    CHECK(b.under_test->counters().strangers == 1);
}

TEST_CASE("a host out of reach ends only what has not begun", "[driver][transfer][rfc1122]") {
    // RFC 1122 3.2.2.1: such a message is a hint, for example of a route that changes.
    bench b(std::string(1000, 'x'));
    b.begin();
    auto* const port = b.network.find(b.under_test->wants().fd);
    SECTION("under way") {
        b.say(ack(1));
        port->refuse({peer, system_error(EHOSTUNREACH)});
        b.readable();
        CHECK_FALSE(b.under_test->closed());
        b.say(ack(2));
        b.check_closed({});
    }
    SECTION("unheard") {
        port->refuse({peer, system_error(EHOSTUNREACH)});
        b.readable();
        b.check_closed(system_error(EHOSTUNREACH));
    }
}

TEST_CASE("a receive that fails ends nothing", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.begin();
    b.network.faults = {{port_call::receive, 1, ECONNREFUSED, 0}};
    b.say(ack(1));
    CHECK_FALSE(b.under_test->closed());
    b.readable();
    CHECK(b.blocks() == numbers{1, 2});
}

TEST_CASE("transfer notices content that is shorter than promised", "[driver][transfer]") {
    bench b(std::string(1000, 'x'));
    b.source->promised = 1500;
    b.under_test = std::make_unique<io::transfer>(
        io::transfer_setup{
            io::verb::read,
            "file",
            transfer_mode::octet,
            b.network.open(endpoint::ipv4(192, 0, 2, 2, 0)),
            nullptr},
        serve_read({}, 1500),
        b.source,
        start
    );
    b.local = b.local.with_port(static_cast<std::uint16_t>(b.local.port + 1));
    b.begin();
    CHECK(b.blocks() == numbers{1});
    b.say(ack(1));
    CHECK(b.error_code_sent() == peer_errc::undefined);
    b.check_closed(errc::source_shrank);
}

TEST_CASE("transfer sends content of unknown size to its end", "[driver][transfer]") {
    const auto size = GENERATE(as<std::size_t>(), 0, 511, 512, 1024, 1500);
    sim_network network;
    io::scratch memory;
    const auto remote = network.open(peer);
    const auto source = std::make_shared<moody_source>(std::string(size, 'x'));
    source->promised.reset();
    auto port = network.open(endpoint::ipv4(192, 0, 2, 2, 0));
    const endpoint local = port->local_endpoint();
    io::transfer t(
        {io::verb::read, "file", transfer_mode::octet, std::move(port), nullptr},
        serve_read({{"windowsize", "2"}}),
        source,
        start
    );
    t.start(memory, start);
    REQUIRE(remote->take());
    std::size_t came = 0;
    network.transmit(*remote, local, ack(0));
    for (std::uint16_t block = 0; !t.closed() && block < 10;) {
        t.on_readable(memory, start);
        while (const auto data = remote->take()) {
            came += data->octets.size() - 4;
            ++block;
        }
        network.transmit(*remote, local, ack(block));
    }
    CHECK(t.closed());
    CHECK(came == size);
    CHECK(t.summary().counters.bytes == size);
}

TEST_CASE("transfer tells the peer that the disk is full", "[driver][transfer]") {
    bench b(option_pairs{});
    b.begin();
    b.expect(ack(0));
    b.say(data(1));
    b.expect(ack(1));
    b.sink->write_error = system_error(ENOSPC);
    b.say(data(2, 100));
    CHECK(b.error_code_sent() == peer_errc::disk_full);
    b.check_closed(system_error(ENOSPC));
    CHECK(b.sink->commits == 0);
}

TEST_CASE("transfer announces the size before it writes", "[driver][transfer]") {
    bench b(option_pairs{{"tsize", "700"}});
    b.begin();
    b.expect(oack({{"tsize", "700"}}));
    SECTION("and goes on when there is room") {
        b.say(data(1));
        CHECK(b.sink->reserved == 700);
        b.expect(ack(1));
    }
    SECTION("and ends when there is none") {
        b.sink->reserve_error = errc::too_large;
        b.say(data(1));
        CHECK(b.sink->writes == 0);
        CHECK(b.error_code_sent() == peer_errc::disk_full);
        b.check_closed(errc::too_large);
    }
}

TEST_CASE("the final ACK says that the content is committed", "[driver][transfer]") {
    const bool pool = GENERATE(false, true);
    bench b({}, pool);
    b.begin();
    b.expect(ack(0));
    SECTION("so none leaves when it cannot be") {
        b.sink->commit_error = system_error(EDQUOT);
        b.say(data(1, 10));
        if (pool) {
            CHECK_FALSE(b.under_test->completed());
            b.host.work();
        }
        CHECK(b.error_code_sent() == peer_errc::disk_full);
        b.check_closed(system_error(EDQUOT));
    }
    SECTION("and is repeated for a peer that missed it") {
        b.say(data(1, 10));
        if (pool) {
            b.host.work();
        }
        b.expect(ack(1));
        CHECK(b.under_test->completed());
        CHECK_FALSE(b.under_test->closed());
        b.say(data(1, 10));
        b.expect(ack(1));
        CHECK(b.sink->commits == 1);
        CHECK(b.sink->writes == 1);
        b.pass(10s);
        b.check_closed({});
    }
}

TEST_CASE("DATA repeated while the commit runs waits for it", "[driver][transfer]") {
    bench b({}, hosted);
    b.begin();
    b.expect(ack(0));
    b.say(data(1, 10));
    for (int i = 0; i < 3; ++i) {
        b.say(data(1, 10));
        b.pass(2s);
    }
    CHECK_FALSE(b.remote->take());
    REQUIRE(b.host.jobs.size() == 1);
    b.host.work();
    b.expect(ack(1));
    CHECK_FALSE(b.remote->take());
    CHECK(b.sink->commits == 1);
}

TEST_CASE("transfer may end before its commit does", "[driver][transfer]") {
    bench b({}, hosted);
    b.begin();
    b.say(data(1, 10));
    REQUIRE(b.host.jobs.size() == 1);
    SECTION("and the job finds out") {
        b.under_test->abort(peer_errc::undefined, "enough", errc::stopped, b.memory, b.now);
        b.under_test.reset();
        b.host.work();
    }
    SECTION("or the job was dropped by its pool") {
        b.host.jobs.clear();
        b.under_test.reset();
    }
}

TEST_CASE("nothing is committed after the peer's ERROR", "[driver][transfer]") {
    // Both come in one batch: the peer thought better of it.
    bench b(option_pairs{{"windowsize", "4"}});
    b.begin();
    b.expect(oack({{"windowsize", "4"}}));
    b.network.transmit(*b.remote, b.local, data(1, 10));
    b.network.transmit(*b.remote, b.local, error(peer_errc::undefined));
    b.readable();
    b.check_closed(peer_errc::undefined);
    CHECK(b.sink->commits == 0);
}

TEST_CASE("a batch is one write and one ACK", "[driver][transfer]") {
    bench b(option_pairs{{"windowsize", "16"}});
    b.begin();
    b.expect(oack({{"windowsize", "16"}}));
    for (std::uint16_t block = 1; block <= 16; ++block) {
        b.network.transmit(*b.remote, b.local, data(block));
    }
    b.readable();
    CHECK(b.sink->writes == 1);
    CHECK(b.sink->content.size() == 16 * 512);
    b.expect(ack(16));
    CHECK_FALSE(b.remote->take());
}
