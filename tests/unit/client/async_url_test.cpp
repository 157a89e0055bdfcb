#include "support/files.hpp"
#include "support/server_thread.hpp"
#include "support/skip.hpp"

#include <tftp/async.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <tuple>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace asio = boost::asio;

namespace {

[[nodiscard]] std::string url_of(const endpoint& server, const std::string& name) {
    return "tftp://" + to_string(server) + "/" + name;
}

/// Runs a coroutine to its end.
template <class Coroutine>
void run(Coroutine coroutine) {
    asio::io_context context;
    tftp::client client(context.get_executor());
    std::exception_ptr failure;
    asio::co_spawn(context, coroutine(client), [&failure](std::exception_ptr e) { failure = e; });
    context.run();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

/// Starts a read and returns how it ended.
[[nodiscard]] transfer_summary
get_with_handler(const std::string& url, const destination& into, const client_request& how) {
    asio::io_context context;
    tftp::client client(context.get_executor());
    transfer_summary summary;
    client.async_get(url, into, how, [&summary](error_code error, transfer_summary s) {
        CHECK(error == s.outcome);
        summary = std::move(s);
    });
    context.run();
    return summary;
}

} // namespace

TEST_CASE("a coroutine gets and puts by URL", "[net][client][url]") {
    server_thread t;
    const std::string url = url_of(t.address(), "file");
    memory_sink sink(1000);
    run([&](tftp::client& client) -> asio::awaitable<void> {
        auto [failed, sent] =
            co_await client.async_put(url, tftp::text("content"), {.timeout = 5s}, asio::as_tuple);
        CHECK_FALSE(failed);
        CHECK(sent.counters.bytes == 7);
        auto [ec, done] = co_await client.async_get(url, sink, {.timeout = 5s}, asio::as_tuple);
        CHECK_FALSE(ec);
        CHECK(done.agreed.tsize == 7U);
    });
    CHECK(sink.content().size() == 7);
}

TEST_CASE("a coroutine hears what the peer said", "[net][client][url]") {
    loopback_peer serving;
    std::thread answers([&] {
        serving.say(serving.hear().value().first, error_packet(1, "no such menu"));
    });
    memory_sink sink(1000);
    run([&](tftp::client& client) -> asio::awaitable<void> {
        auto [ec, done] = co_await client.async_get(
            url_of(serving.local(), "menu"), sink, {.timeout = 5s}, asio::as_tuple
        );
        CHECK(ec == peer_errc::not_found);
        CHECK(done.peer_text == "no such menu");
        CHECK(done.failed == failing_side::peer);
    });
    answers.join();
}

TEST_CASE("the asynchronous client looks up names", "[net][client][url]") {
    need_host("localhost");
    server_thread t;
    t.files->set("file", "content");
    const std::string port = std::to_string(t.address().port);
    memory_sink sink(1000);
    const auto ended =
        get_with_handler("tftp://localhost:" + port + "/file", sink, {.local = "127.0.0.1"});
    CHECK_FALSE(ended.outcome);
    CHECK(ended.peer.family == address_family::ipv4);
    CHECK(sink.content().size() == 7);
}

TEST_CASE("the asynchronous client goes on to the next address of a host", "[net][client][url]") {
    need_host("localhost");
    // At ::1, if "localhost" has that, nobody listens.
    server_thread t([](tftp::server::config& c) { c.listen = {endpoint::ipv4(127, 0, 0, 1, 0)}; });
    t.files->set("file", "content");
    memory_sink sink(1000);
    const std::string port = std::to_string(t.address().port);
    CHECK_FALSE(get_with_handler("tftp://localhost:" + port + "/file", sink, {}).outcome);
}

TEST_CASE("what cannot begin completes with its reason", "[net][client][url]") {
    memory_sink sink(1000);
    const auto outcome = [&](const std::string& url) {
        return get_with_handler(url, sink, {.timeout = 10s}).outcome;
    };
    CHECK(outcome("localhost/file") == errc::bad_uri);
    CHECK(outcome("tftp://[fe80::1%nosuchif]/x") == boost::system::errc::no_such_device);
    CHECK(outcome("tftp://127.0.0.1:nosuchservice/x") == errc::unknown_host);
    const auto missing = get_with_handler("tftp://127.0.0.1/x", file("/nonesuch/file"), {});
    CHECK(missing.outcome.failed());
    CHECK(missing.failed == failing_side::content);
}

TEST_CASE("a lookup ends with its time, or when it is cancelled", "[net][client][url]") {
    asio::io_context context;
    tftp::client client(context.get_executor());
    memory_sink sink(1000);
    error_code outcome;
    unsigned calls = 0;
    const auto done = [&](error_code error, const transfer_summary&) {
        outcome = error;
        ++calls;
    };
    SECTION("the time") {
        // Already over: whatever the resolver says comes too late.
        client.async_get("tftp://localhost:nosuchservice/x", sink, {.timeout = -1s}, done);
        context.run();
        CHECK((outcome == errc::out_of_time || outcome == errc::unknown_host));
    }
    SECTION("cancelled") {
        asio::cancellation_signal signal;
        client.async_get(
            "tftp://localhost/x", sink, {}, asio::bind_cancellation_slot(signal.slot(), done)
        );
        signal.emit(asio::cancellation_type::terminal);
        context.run();
        CHECK(outcome == asio::error::operation_aborted);
    }
    CHECK(calls == 1);
}
