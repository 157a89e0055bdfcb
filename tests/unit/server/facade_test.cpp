#include "support/files.hpp"
#include "support/loopback.hpp"
#include "support/temp_directory.hpp"

#include <tftp/async.hpp>
#include <tftp/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace asio = boost::asio;

namespace {

/// Runs a server in a thread until the end.
class running_server {
public:
    explicit running_server(tftp::server& s) : server_(s), thread_([&s] { s.run(); }) {}

    ~running_server() {
        server_.stop();
        thread_.join();
    }

    running_server(const running_server&) = delete;
    running_server& operator=(const running_server&) = delete;

private:
    tftp::server& server_;
    std::thread thread_;
};

[[nodiscard]] std::string url_of(const std::vector<endpoint>& at, const std::string& name) {
    return "tftp://" + to_string(at.front()) + "/" + name;
}

} // namespace

TEST_CASE("a line serves what a function says", "[net][server][facade]") {
    std::atomic<int> ended = 0;
    tftp::server s(
        {.listen = "127.0.0.1:0", .on_finished = [&ended](const transfer_summary&) { ++ended; }},
        [](const tftp::request& r) { return tftp::text("hello " + r.peer.to_string()); }
    );
    const running_server serving(s);
    const auto came = get(url_of(s.endpoints(), "any"), {.timeout = 5s});
    CHECK(came.text() == "hello 127.0.0.1:" + std::to_string(came.summary().local.port));
    CHECK_THROWS_WITH(
        put(url_of(s.endpoints(), "any"), text("x")),
        Catch::Contains("The other side denies access")
    );
}

TEST_CASE("handlers refuse, throw, and take uploads", "[net][server][facade]") {
    std::promise<std::string> uploaded;
    tftp::server s(
        {.listen = "127.0.0.1:0"},
        [](const tftp::request& r) -> content {
            if (r.name == "throws") {
                throw std::runtime_error("no");
            }
            if (r.name == "full") {
                throw boost::system::system_error(make_error_code(peer_errc::disk_full));
            }
            return peer_errc::not_found;
        },
        [&uploaded](const tftp::request& r) -> destination {
            if (r.name != "config") {
                return errc::forbidden;
            }
            return collect(100, [&uploaded](std::string all) {
                uploaded.set_value(std::move(all));
            });
        }
    );
    const running_server serving(s);
    const auto outcome = [&s](const char* name) {
        memory_sink into(10);
        error_code failed;
        static_cast<void>(get(url_of(s.endpoints(), name), into, {.timeout = 5s}, failed));
        return failed;
    };
    CHECK(outcome("none") == peer_errc::not_found);
    CHECK(outcome("throws") == peer_errc::undefined);
    CHECK(outcome("full") == peer_errc::disk_full);
    CHECK_THROWS_AS(put(url_of(s.endpoints(), "other"), text("x")), tftp::error);
    put(url_of(s.endpoints(), "config"), text("hostname a"));
    CHECK(uploaded.get_future().get() == "hostname a");
}

TEST_CASE("a server has a policy and counts", "[net][server][facade][policy]") {
    class only_menu final : public request_policy {
        [[nodiscard]] verdict
        decide(const request_facts& facts, const service_config& config) const override {
            verdict decided = default_policy().decide(facts, config);
            if (facts.name != "menu") {
                decided.refused = {
                    peer_errc::access_violation,
                    "the menu only",
                    make_error_code(peer_errc::access_violation)};
            }
            return decided;
        }
    };

    tftp::server s(
        {.listen = "127.0.0.1:0", .policy = std::make_shared<only_menu>()},
        [](const tftp::request&) { return tftp::text("soup"); }
    );
    const running_server serving(s);
    CHECK(get(url_of(s.endpoints(), "menu"), {.timeout = 5s}).text() == "soup");
    CHECK_THROWS_WITH(
        get(url_of(s.endpoints(), "kitchen"), {.timeout = 5s}), Catch::Contains("the menu only")
    );
    const server_counts counts = s.counts();
    CHECK(counts.requests == 2);
    CHECK(counts.started == 1);
    CHECK(counts.of(reason::policy) == 1);
}

TEST_CASE("a line serves a directory", "[net][server][facade]") {
    temp_directory root;
    write_file(root.path() / "boot.cfg", "default linux");
    tftp::server s({.listen = "127.0.0.1:0"}, directory(root.path().string()));
    const running_server serving(s);
    CHECK(get(url_of(s.endpoints(), "boot.cfg")).text() == "default linux");
    CHECK_THROWS_WITH(directory("/nonesuch"), Catch::Contains("/nonesuch"));
}

TEST_CASE("where to listen is an address, a port, or all", "[net][server][facade]") {
    const auto nothing = [](const tftp::request&) { return content(errc::forbidden); };
    CHECK(server::config_for({}, nullptr).port == 69);
    CHECK(server::config_for({.listen = ":6969"}, nullptr).port == 6969);
    CHECK(server::config_for({.listen = ":6969"}, nullptr).listen.empty());
    CHECK(server::config_for({.listen = "[::1]"}, nullptr).listen.front().port == 69);
    for (const char* const wrong : {"boothost", "1.2.3.4:x", ":x", "1.2.3"}) {
        CHECK_THROWS_WITH(
            tftp::server({.listen = wrong}, nothing),
            Catch::StartsWith("cannot listen on '" + std::string(wrong) + "': The local address is")
        );
    }
    CHECK_THROWS_AS(tftp::server(tftp::server::config()), std::invalid_argument);
}

TEST_CASE("a stream is served to who loses packets, too", "[net][server][facade]") {
    const std::string octets = make_content(300'000, 1);
    tftp::server s({.listen = "127.0.0.1:0"}, [&octets](const tftp::request&) {
        return stream([&octets, at = std::size_t{0}](bytes_span into) mutable {
            const std::size_t size = std::min(into.size(), octets.size() - at);
            std::memcpy(into.data(), octets.data() + at, size);
            at += size;
            return size;
        });
    });
    const running_server serving(s);
    CHECK((get(url_of(s.endpoints(), "any"), {.timeout = 20s}).text() == octets));
}

TEST_CASE("a server runs in the program's own event loop", "[net][server][facade]") {
    asio::io_context context;
    const std::string octets = make_content(200'000, 1);
    tftp::async_server serving(
        context.get_executor(),
        {.listen = "127.0.0.1:0"},
        [&octets](const tftp::request&) { return text(octets); }
    );
    tftp::client client(context.get_executor());
    memory_sink into(1 << 20);
    const std::string url = url_of(serving.endpoints(), "any");
    bool done = false;
    SECTION("until it is drained") {
        client.async_get(
            url,
            into,
            {.timeout = 20s},
            [&](error_code failed, const transfer_summary&) {
                CHECK_FALSE(failed);
                done = true;
                CHECK(serving.running() <= 1);
                serving.drain(20s);
                serving.drain(20s);
            }
        );
        context.run();
        CHECK(into.content().size() == octets.size());
    }
    SECTION("until it is stopped") {
        client.async_get(
            url,
            into,
            {.timeout = 20s},
            [&](error_code failed, const transfer_summary&) {
                CHECK_FALSE(failed);
                done = true;
                serving.stop();
            }
        );
        context.run();
    }
    CHECK(done);
}

TEST_CASE(
    "a server in an event loop ends its transfers when it is stopped", "[net][server][facade]"
) {
    asio::io_context context;
    std::optional<tftp::async_server> serving;
    serving.emplace(
        context.get_executor(),
        server_options{.listen = "127.0.0.1:0"},
        [](const tftp::request&) { return text(std::string(10'000'000, 'x')); }
    );
    tftp::client client(context.get_executor());
    memory_sink into(std::size_t{1} << 30);
    error_code outcome;
    client.async_get(
        url_of(serving->endpoints(), "any"),
        into,
        {.timeout = 20s, .options = no_options},
        [&outcome](error_code failed, const transfer_summary&) { outcome = failed; }
    );
    const bool destroyed = GENERATE(false, true);
    while (serving->running() == 0) {
        context.run_one();
    }
    if (destroyed) {
        serving.reset();
        context.stop(); // nobody tells the client
    } else {
        serving->stop();
        context.run();
        CHECK(outcome.failed()); // by ERROR 0, or because the port is gone
    }
}
