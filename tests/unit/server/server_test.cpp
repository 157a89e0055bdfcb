#include "support/files.hpp"
#include "support/server_thread.hpp"

#include <tftp/client/async/async_client.hpp>
#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/server/async/server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

using heard = std::optional<std::pair<endpoint, datagram>>;

bool is_error(const datagram& octets) {
    return octets.size() >= 4 && octets[1] == std::byte{5};
}

/// Returns the next datagram that is not `before` once more: its timer repeats it when this test is
/// slow.
heard hear_after(loopback_peer& peer, const heard& before) {
    heard message = peer.hear();
    while (message && message == before) {
        message = peer.hear();
    }
    return message;
}

} // namespace

TEST_CASE("server takes one port in both families", "[net][server]") {
    need_ipv6();
    server_thread t;
    REQUIRE(t.server.endpoints().size() == 2);
    CHECK(t.address(address_family::ipv4).port != 0);
    CHECK(t.address(address_family::ipv4).port == t.address(address_family::ipv6).port);
}

TEST_CASE("server says which address another socket holds", "[net][server]") {
    const loopback_peer holder;
    tftp::server::config setup;
    setup.files = std::make_shared<memory_content>();
    setup.workers = GENERATE(1U, 2U);
    setup.listen = {holder.local()};
    try {
        const tftp::server impossible(setup);
        FAIL("bound a port that is taken");
    } catch (const listen_error& failed) {
        CHECK(failed.code() == boost::system::errc::address_in_use);
        CHECK(failed.address() == holder.local());
    }
}

TEST_CASE("a second server never shares the port of the first", "[net][server]") {
    const server_thread first;
    tftp::server::config setup;
    setup.files = std::make_shared<memory_content>();
    setup.workers = 2;
    setup.listen = {first.address()};
    CHECK_THROWS_AS(tftp::server(setup), listen_error);
}

TEST_CASE("server serves a hundred clients at a time", "[net][server]") {
    const bool ipv6 = has_ipv6();
    server_thread t;
    std::vector<std::string> contents;
    std::vector<std::unique_ptr<memory_sink>> sinks;
    boost::asio::io_context context;
    tftp::client client(context.get_executor());
    std::size_t ended = 0;
    std::size_t failed = 0;
    for (std::size_t i = 0; i < 100; ++i) {
        contents.push_back(make_content(i * 701, i));
        t.files->set("file" + std::to_string(i), contents.back());
        sinks.push_back(std::make_unique<memory_sink>(1 << 20));
        client_request asked;
        asked.options = no_options;
        asked.server = t.address(i % 2 == 0 || !ipv6 ? address_family::ipv4 : address_family::ipv6);
        asked.filename = "file" + std::to_string(i);
        if (i % 3 != 0) {
            asked.options = default_offer(1428);
        }
        client.async_get(
            std::move(asked),
            *sinks.back(),
            [&](error_code error, const transfer_summary&) {
                ++ended;
                failed += error ? 1U : 0U;
            }
        );
    }
    context.run();
    CHECK(ended == 100);
    CHECK(failed == 0);
    for (std::size_t i = 0; i < contents.size(); ++i) {
        const bytes_view came = sinks[i]->content();
        CHECK((std::string(reinterpret_cast<const char*>(came.data()), came.size()) == contents[i])
        );
    }
    t.server.drain(20s);
    t.join();
    CHECK(t.finished().size() == 100);
    CHECK(t.server.running() == 0);
}

TEST_CASE("drain lets a transfer finish and takes no other", "[net][server]") {
    server_thread t;
    t.files->set("file", std::string(600, 'x'));
    loopback_peer asker;
    asker.say(t.address(), rrq("file"));
    const auto first = asker.hear();
    REQUIRE(first);
    CHECK(t.server.running() <= 1);
    t.server.drain(60s);
    asker.say(first->first, ack(1));
    const auto second = hear_after(asker, first);
    REQUIRE(second);
    CHECK(second->second.size() == 4 + 600 - 512);
    asker.say(first->first, ack(2));
    t.join();
    REQUIRE(t.finished().size() == 1);
    CHECK_FALSE(t.finished()[0].outcome);
}

TEST_CASE("drain ends what is left after the grace", "[net][server]") {
    server_thread t;
    t.files->set("file", std::string(600, 'x'));
    loopback_peer asker;
    asker.say(t.address(), rrq("file"));
    const auto first = asker.hear();
    REQUIRE(first);
    t.server.drain(10ms);
    t.join();
    const auto last = hear_after(asker, first);
    REQUIRE(last);
    CHECK(is_error(last->second));
    REQUIRE(t.finished().size() == 1);
    CHECK(t.finished()[0].outcome == errc::stopped);
}

TEST_CASE("stop ends every transfer with an ERROR", "[net][server]") {
    server_thread t;
    loopback_peer asker;
    asker.say(t.address(), wrq("upload"));
    const auto first = asker.hear();
    REQUIRE(first);
    t.server.stop();
    t.join();
    const auto last = hear_after(asker, first);
    REQUIRE(last);
    CHECK(is_error(last->second));
    CHECK(last->first == first->first);
    CHECK_FALSE(t.files->get("upload"));
}

TEST_CASE("stop before run has run return at once", "[net][server]") {
    tftp::server::config setup;
    setup.files = std::make_shared<memory_content>();
    setup.listen = {loopback(address_family::ipv4)};
    tftp::server s(setup);
    s.stop();
    s.run();
    CHECK(s.running() == 0);
}

TEST_CASE("the embedding program's handlers run beside the workers", "[net][server]") {
    server_thread t;
    std::promise<std::thread::id> ran;
    boost::asio::post(t.server.get_executor(), [&] {
        ran.set_value(std::this_thread::get_id());
        t.server.stop();
    });
    CHECK(ran.get_future().get() != std::this_thread::get_id());
    t.join();
}

TEST_CASE("what a handler of the embedding program throws ends run", "[net][server]") {
    server_thread t;
    boost::asio::post(t.server.get_executor(), [] { throw std::runtime_error("mine"); });
    CHECK_THROWS_WITH(t.join(), "mine");
}

TEST_CASE("server publishes an upload from its pool", "[net][server]") {
    server_thread t;
    const std::string content = make_content(300'000, 7);
    client_request asked;
    asked.options = no_options;
    asked.server = t.address();
    asked.filename = "upload";
    asked.options = default_offer(1428);
    memory_source from(std::as_bytes(std::span(content)));
    const auto ended = put(asked, from);
    CHECK(ended.counters.bytes == content.size());
    CHECK((t.files->get("upload") == content));
    t.server.stop();
    t.join();
    REQUIRE(t.finished().size() == 1);
    CHECK_FALSE(t.finished()[0].outcome);
}
