#include "support/loopback.hpp"
#include "support/memory_content.hpp"

#include <tftp/content/provider.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/async/worker.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Takes uploads whose commit waits until it may go on.
class slow_content final : public content_provider {
public:
    [[nodiscard]] result<std::shared_ptr<source>>
    open_read(const content_request&) noexcept override {
        return make_error_code(peer_errc::not_found);
    }

    [[nodiscard]] result<std::shared_ptr<sink>>
    open_write(const content_request&) noexcept override {
        return std::make_shared<slow_sink>(*this);
    }

    std::binary_semaphore committing{0};
    std::binary_semaphore go_on{0};

private:
    class slow_sink final : public sink {
    public:
        explicit slow_sink(slow_content& owner) : owner_(owner) {}

        [[nodiscard]] error_code reserve(std::uint64_t) noexcept override { return {}; }

        [[nodiscard]] error_code write(std::uint64_t, std::span<const ::iovec>) noexcept override {
            return {};
        }

        [[nodiscard]] error_code commit() noexcept override {
            owner_.committing.release();
            owner_.go_on.acquire();
            return {};
        }

    private:
        slow_content& owner_;
    };
};

/// A worker that listens, and what it was made with.
class worker_bench {
public:
    worker_bench() {
        files.set("file", std::string(600, 'x'));
        auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
        address = port->local_endpoint();
        worker.listen(std::move(port));
    }

    /// Asks for a file and hears its first block; returns who sent it.
    endpoint begin(loopback_peer& asker) {
        asker.say(address, rrq("file"));
        return asker.hear().value().first;
    }

    memory_content files;
    service_config service;
    std::vector<transfer_summary> finished;
    std::function<void(const transfer_summary&)> keep = [this](const auto& s) {
        finished.push_back(s);
    };
    endpoint address;
    tftp::worker worker{{files, service, std::nullopt, nullptr, nullptr, nullptr, keep}};
};

/// Returns whether an ERROR is what comes next, but for blocks that are repeated.
bool hears_error(loopback_peer& asker) {
    for (auto message = asker.hear(); message; message = asker.hear()) {
        if (message->second[1] == std::byte{5}) {
            return true;
        }
    }
    return false;
}

} // namespace

TEST_CASE("a worker without transfers has drained at once", "[net][worker]") {
    worker_bench b;
    std::thread thread([&] { b.worker.run(); });
    b.worker.drain(1h);
    thread.join();
    CHECK(b.finished.empty());
}

TEST_CASE("orders given to a worker before it runs are kept", "[net][worker]") {
    const bool drain = GENERATE(true, false);
    worker_bench b;
    drain ? b.worker.drain(1h) : b.worker.stop();
    b.worker.run();
    CHECK(b.worker.running() == 0);
}

TEST_CASE("a worker that is stopped ends its transfers with an ERROR", "[net][worker]") {
    worker_bench b;
    std::thread thread([&] { b.worker.run(); });
    loopback_peer asker;
    b.begin(asker);
    // The second finds nothing left to do, or the worker gone.
    b.worker.stop();
    b.worker.stop();
    thread.join();
    CHECK(hears_error(asker));
    CHECK(b.worker.running() == 0);
    REQUIRE(b.finished.size() == 1);
    CHECK(b.finished[0].outcome == errc::stopped);
}

TEST_CASE("a drain whose grace is over is a stop", "[net][worker]") {
    worker_bench b;
    std::thread thread([&] { b.worker.run(); });
    loopback_peer asker;
    b.begin(asker);
    b.worker.drain(5ms);
    // Another drain does not lengthen it.
    b.worker.drain(1h);
    thread.join();
    CHECK(hears_error(asker));
    CHECK(b.worker.running() == 0);
}

TEST_CASE("a worker takes orders from several threads", "[net][worker]") {
    worker_bench b;
    std::thread thread([&] { b.worker.run(); });
    loopback_peer asker;
    b.begin(asker);
    std::vector<std::thread> others;
    for (int i = 0; i < 8; ++i) {
        others.emplace_back([&, i] {
            i % 2 == 0 ? b.worker.drain(1h) : b.worker.stop();
            static_cast<void>(b.worker.running());
        });
    }
    for (std::thread& other : others) {
        other.join();
    }
    thread.join();
    CHECK(hears_error(asker));
    CHECK(b.finished.size() == 1);
}

TEST_CASE("a worker waits for a commit when it is stopped, and not twice", "[net][worker]") {
    const bool twice = GENERATE(true, false);
    slow_content files;
    const service_config service;
    std::vector<transfer_summary> finished;
    const std::function<void(const transfer_summary&)> keep = [&](const transfer_summary& s) {
        finished.push_back(s);
    };
    std::optional<thread_pool> pool(std::in_place, 1);
    tftp::worker worker({files, service, std::nullopt, &*pool, nullptr, nullptr, keep});
    auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
    const endpoint address = port->local_endpoint();
    worker.listen(std::move(port));
    std::thread thread([&] { worker.run(); });
    loopback_peer writer;
    writer.say(address, wrq("file"));
    const auto ready = writer.hear();
    if (ready) {
        writer.say(ready->first, data(1, 100));
        files.committing.acquire();
    }
    worker.stop();
    if (twice) {
        worker.stop();
    } else {
        files.go_on.release();
    }
    thread.join();
    if (twice) {
        files.go_on.release();
    }
    // It reports to the worker, so it ends first.
    pool.reset();
    REQUIRE(ready);
    CHECK(writer.hear(0ms).has_value() != twice);
    CHECK(finished.size() == (twice ? 0 : 1));
}

TEST_CASE("a worker serves from the ports it may use until it has drained", "[net][worker]") {
    memory_content files;
    files.set("file", std::string(600, 'x'));
    std::vector<transfer_summary> finished;
    const std::function<void(const transfer_summary&)> keep = [&](const transfer_summary& s) {
        finished.push_back(s);
    };
    const service_config service;
    // A wide range: other programs may hold some of it.
    const port_range range{20'000, 29'999};
    tftp::worker worker({files, service, range, nullptr, nullptr, nullptr, keep});
    auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
    const endpoint address = port->local_endpoint();
    worker.listen(std::move(port));
    CHECK(worker.running() == 0);
    std::thread thread([&] { worker.run(); });

    loopback_peer asker;
    asker.say(address, rrq("file"));
    const auto first = asker.hear();
    worker.drain(60s);
    bool ended = false;
    if (first) {
        asker.say(first->first, ack(1));
        ended = asker.hear().has_value();
        asker.say(first->first, ack(2));
    } else {
        worker.stop();
    }
    thread.join();
    REQUIRE(first);
    CHECK(first->first.port >= range.first);
    CHECK(first->first.port <= range.last);
    CHECK(ended);
    CHECK(worker.running() == 0);
    REQUIRE(finished.size() == 1);
    CHECK_FALSE(finished[0].outcome);
}
