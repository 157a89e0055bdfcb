#include "support/files.hpp"
#include "support/server_thread.hpp"

#include <tftp/async.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <string>
#include <thread>
#include <vector>

using namespace tftp;
using namespace tftp::test;

namespace asio = boost::asio;

namespace {

client_request ask(const endpoint& to, std::string_view name) {
    return {.server = to, .filename = name, .options = no_options};
}

/// Makes a request by one of the two fronts and returns how it ended.
template <class Content>
[[nodiscard]] transfer_summary
run(bool asynchronous, const client_request& asked, Content& content) {
    constexpr bool reads = std::is_base_of_v<sink, Content>;
    transfer_summary ended;
    error_code error;
    asio::io_context context;
    tftp::client client(context.get_executor());
    const auto done = [&ended](error_code, transfer_summary s) { ended = std::move(s); };
    if constexpr (reads) {
        if (!asynchronous) {
            return get(asked, content, error);
        }
        client.async_get(asked, content, done);
    } else {
        if (!asynchronous) {
            return put(asked, content, error);
        }
        client.async_put(asked, content, done);
    }
    context.run();
    return ended;
}

} // namespace

TEST_CASE("both fronts tell their progress, and end when told to", "[net][driver][client]") {
    const bool asynchronous = GENERATE(false, true);
    CAPTURE(asynchronous);
    memory_sink into(10'000);
    std::vector<progress> told;
    SECTION("of what went well, once at least") {
        server_thread t;
        t.files->set("file", std::string(5000, 'x'));
        client_request asked = ask(t.address(), "file");
        asked.options = default_offer(512);
        const auto tell = [&told](const progress& p) {
            told.push_back(p);
            return true;
        };
        asked.on_progress = tell;
        CHECK_FALSE(run(asynchronous, asked, into).outcome);
        REQUIRE_FALSE(told.empty());
        CHECK(told.back().bytes == 5000);
        CHECK(told.back().total == 5000U);
        told.clear();
        memory_source from(into.content());
        CHECK_FALSE(run(asynchronous, asked, from).outcome);
        REQUIRE_FALSE(told.empty());
        CHECK(told.back().bytes == 5000);
        CHECK(told.back().total == 5000U);
    }
    SECTION("of a server that falls silent") {
        loopback_peer serving;
        std::thread answers([&] { serving.say(serving.hear().value().first, data(1, 512)); });
        client_request asked = ask(serving.local(), "file");
        auto tell = [&told](const progress& p) {
            told.push_back(p);
            return told.size() < 2;
        };
        asked.on_progress = tell;
        const auto ended = run(asynchronous, asked, into);
        answers.join();
        CHECK(ended.outcome == errc::stopped);
        CHECK(ended.failed == failing_side::own);
        CHECK(told.size() == 2);
        CHECK(told.back().bytes == 512);
    }
}

TEST_CASE("a handler of progress may cancel its operation", "[net][client]") {
    loopback_peer silent;
    asio::io_context context;
    tftp::client client(context.get_executor());
    asio::cancellation_signal signal;
    client_request asked = ask(silent.local(), "file");
    const auto cancel = [&signal](const progress&) {
        signal.emit(asio::cancellation_type::terminal);
        return false;
    };
    asked.on_progress = cancel;
    memory_sink into(100);
    error_code error;
    client.async_get(
        asked,
        into,
        asio::bind_cancellation_slot(
            signal.slot(), [&error](error_code e, const transfer_summary&) { error = e; }
        )
    );
    context.run();
    CHECK(error == asio::error::operation_aborted);
}
