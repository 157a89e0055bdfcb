#include "support/loopback.hpp"
#include "support/memory_content.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

struct finished_count final : observer {
    void on_finished(const transfer_summary& s) noexcept override {
        ++ended;
        failed += s.outcome ? 1 : 0;
    }

    int ended = 0;
    int failed = 0;
};

struct idle_handler final : event_handler {
    void on_event(bool, bool, time_point) noexcept override {}
};

/// A service whose thread waits in run_once().
struct own_loop {
    explicit own_loop(const service_config& config = {})
        : service({files, ports, loop, finished}, config, clock::now()) {}

    endpoint listen() {
        auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
        const endpoint address = port->local_endpoint();
        REQUIRE_FALSE(service.listen(std::move(port)));
        return address;
    }

    void run_once(std::optional<time_point> until) { service.step(loop.run_once(until)); }

    memory_content files;
    udp_socket_factory ports;
    epoll_loop loop;
    finished_count finished;
    tftp::shard service;
};

bool is_ready(const epoll_loop& loop, int limit_ms) {
    ::pollfd wait{loop.native_handle(), POLLIN, 0};
    return ::poll(&wait, 1, limit_ms) == 1;
}

} // namespace

TEST_CASE("one descriptor stands for all of a service", "[driver][epoll_loop]") {
    memory_content files;
    files.set("file", std::string(600, 'x'));
    udp_socket_factory ports;
    epoll_loop loop;
    finished_count finished;
    tftp::shard service({files, ports, loop, finished}, {}, clock::now());
    auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
    const endpoint address = port->local_endpoint();
    REQUIRE_FALSE(service.listen(std::move(port)));
    CHECK_FALSE(is_ready(loop, 0));
    CHECK(loop.dispatch(clock::now()) == 0);

    loopback_peer asker;
    asker.say(address, rrq("file"));
    REQUIRE(is_ready(loop, 20'000));
    CHECK(loop.dispatch(clock::now()) == 1);
    CHECK(service.running() == 1);
    const auto first = asker.hear();
    REQUIRE(first);
    for (std::uint16_t block = 1; block <= 2; ++block) {
        asker.say(first->first, ack(block));
        REQUIRE(is_ready(loop, 20'000));
        CHECK(loop.dispatch(clock::now()) == 1);
        service.step(clock::now());
    }
    CHECK(finished.ended == 1);
    CHECK(finished.failed == 0);
    CHECK(service.transfers() == 0);
    service.close_listeners();
    CHECK_FALSE(is_ready(loop, 0));
}

TEST_CASE("what cannot be watched is an error", "[driver][epoll_loop]") {
    epoll_loop loop;
    idle_handler handler;
    CHECK(loop.watch({-1, true, false}, handler) == boost::system::errc::bad_file_descriptor);
    // Not watched: nothing happens.
    loop.unwatch(-1);
}

TEST_CASE("watching again changes what is waited for", "[driver][epoll_loop]") {
    epoll_loop loop;
    auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
    const int fd = port->native_handle();
    idle_handler handler;
    CHECK_FALSE(loop.watch({fd, true, false}, handler));
    CHECK_FALSE(is_ready(loop, 0));
    CHECK_FALSE(loop.watch({fd, true, true}, handler));
    CHECK(is_ready(loop, 0));
    CHECK_FALSE(loop.watch({fd, true, false}, handler));
    CHECK_FALSE(is_ready(loop, 0));
}

TEST_CASE("a turn waits for what is ready and calls its handler", "[driver][epoll_loop]") {
    own_loop loop;
    loop.files.set("file", std::string(100, 'x'));
    const endpoint address = loop.listen();
    loopback_peer asker;
    asker.say(address, rrq("file"));
    loop.run_once(std::nullopt);
    CHECK(loop.service.running() == 1);
    const auto first = asker.hear();
    REQUIRE(first);
    asker.say(first->first, ack(1));
    loop.run_once(clock::now() + 1h);
    CHECK(loop.finished.ended == 1);
    // Settled, too.
    CHECK(loop.service.transfers() == 0);
}

TEST_CASE("a crowd is polled again in the same turn", "[driver][epoll_loop]") {
    const std::size_t clients = GENERATE(std::size_t{8}, std::size_t{40});
    own_loop loop;
    loop.files.set("file", std::string(2000, 'x'));
    const endpoint address = loop.listen();
    std::vector<std::unique_ptr<loopback_peer>> askers;
    for (std::size_t i = 0; i < clients; ++i) {
        askers.push_back(std::make_unique<loopback_peer>());
        askers.back()->say(address, rrq("file"));
    }
    // 8 are taken at a time, and at once those that did not fit.
    loop.run_once(std::nullopt);
    CHECK(loop.service.running() == clients);
    for (const auto& asker : askers) {
        const auto first = asker->hear();
        REQUIRE(first);
        // The second answers what has yet to be sent.
        asker->say(first->first, ack(1));
        asker->say(first->first, ack(2));
    }
    loop.run_once(std::nullopt);
    unsigned ahead = 0;
    for (const auto& asker : askers) {
        REQUIRE(asker->hear());
        ahead += asker->hear(0ms) ? 1U : 0U;
    }
    CHECK(ahead == (clients == 8 ? 0 : clients));
}

TEST_CASE("a turn ends when its time has come", "[driver][epoll_loop]") {
    own_loop loop;
    for (int i = 0; i < 3; ++i) {
        const time_point until = clock::now() + 5ms;
        loop.run_once(until);
        CHECK(clock::now() >= until);
    }
}

TEST_CASE("a turn whose time is over returns at once", "[driver][epoll_loop]") {
    own_loop loop;
    const time_point past =
        GENERATE(as<time_point>(), time_point::min(), time_point(), clock::now() - 1ms);
    loop.run_once(past);
    loop.run_once(past);
}

TEST_CASE("a turn may wait for an earlier time than the one before", "[driver][epoll_loop]") {
    own_loop loop;
    loop.loop.wake();
    loop.run_once(clock::now() + 1h);
    const time_point until = clock::now() + 5ms;
    loop.run_once(until);
    CHECK(clock::now() >= until);
}

TEST_CASE("a turn for a later time leaves the timer alone", "[driver][epoll_loop]") {
    own_loop loop;
    const time_point earlier = clock::now() + 5ms;
    loop.loop.wake();
    loop.run_once(earlier);
    // Early, as it may be; it would be an hour otherwise.
    loop.run_once(clock::now() + 1h);
    CHECK(clock::now() >= earlier);
    // From then on it is set again.
    const time_point later = clock::now() + 5ms;
    loop.run_once(later);
    CHECK(clock::now() >= later);
}

TEST_CASE("a turn lets the service act on its deadlines", "[driver][epoll_loop]") {
    service_config config;
    config.engine.rto.initial = 10ms;
    own_loop loop(config);
    loop.files.set("file", std::string(100, 'x'));
    loopback_peer asker;
    asker.say(loop.listen(), rrq("file"));
    loop.run_once(std::nullopt);
    const auto first = asker.hear();
    REQUIRE(first);
    while (!asker.hear(0ms)) {
        loop.run_once(loop.service.deadline());
    }
    CHECK(loop.service.running() == 1);
}

TEST_CASE("a turn is woken before it begins, and once", "[driver][epoll_loop]") {
    own_loop loop;
    errno = EDOM;
    loop.loop.wake();
    loop.loop.wake();
    CHECK(errno == EDOM);
    loop.run_once(std::nullopt);
    // What was seen is not seen again.
    const time_point until = clock::now() + 5ms;
    loop.run_once(until);
    CHECK(clock::now() >= until);
    loop.loop.wake();
    loop.run_once(std::nullopt);
}

TEST_CASE("a turn is woken by other threads", "[driver][epoll_loop]") {
    own_loop loop;
    std::atomic<int> turns = 0;
    std::thread waker([&] {
        for (int i = 0; i < 1000; ++i) {
            loop.loop.wake();
            while (turns <= i) {
                std::this_thread::yield();
            }
        }
    });
    for (int i = 0; i < 1000; ++i) {
        loop.run_once(std::nullopt);
        ++turns;
    }
    waker.join();
    CHECK(turns == 1000);
}

TEST_CASE("a turn that the kernel refuses throws", "[driver][epoll_loop]") {
    own_loop loop;
    const unique_fd other(::eventfd(0, EFD_CLOEXEC));
    REQUIRE(::dup2(other.get(), loop.loop.native_handle()) >= 0);
    CHECK_THROWS_AS(loop.run_once(std::nullopt), std::system_error);
}

TEST_CASE("an event loop that gets no descriptors throws", "[driver][epoll_loop]") {
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::dup(STDIN_FILENO);
    REQUIRE(next >= 0);
    ::close(next);
    int thrown = 0;
    for (int room = 0; room < 3; ++room) {
        const ::rlimit tight{static_cast<::rlim_t>(next + room), before.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &tight);
        try {
            const epoll_loop loop;
        } catch (const std::system_error& failed) {
            // Before the sanitizer looks at the exception, for which it needs descriptors.
            ::setrlimit(RLIMIT_NOFILE, &before);
            thrown += failed.code() == std::errc::too_many_files_open ? 1 : 0;
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
    }
    CHECK(thrown == 3);
}
