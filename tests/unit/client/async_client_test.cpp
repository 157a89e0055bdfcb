#include "support/files.hpp"
#include "support/server_thread.hpp"

#include <tftp/client/async/async_client.hpp>
#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace asio = boost::asio;

namespace {

/// Calls of close() with a descriptor that is not open: in a program with threads, somebody else's.
std::atomic<int> bad_closes = 0;

} // namespace

#ifdef TFTP_TEST_OWN_CLOSE

/// Stands in for the C library's, for all that is linked into this program.
extern "C" int close(int fd) {
    const long outcome = ::syscall(SYS_close, fd);
    if (outcome != 0 && errno == EBADF) {
        ++bad_closes;
    }
    return static_cast<int>(outcome);
}

#endif

namespace {

client_request ask(const endpoint& to, std::string name) {
    client_request asked;
    asked.options = no_options;
    asked.server = to;
    asked.filename = std::move(name);
    return asked;
}

std::string content_of(const memory_sink& sink) {
    const bytes_view octets = sink.content();
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// A front of the client: gets and puts, and returns when they are over.
struct front {
    const char* name;
    transfer_summary (*get)(const client_request&, sink&);
    transfer_summary (*put)(const client_request&, source&);
};

transfer_summary blocking_get(const client_request& asked, sink& into) {
    error_code error;
    const auto ended = get(asked, into, error);
    CHECK(error == ended.outcome);
    return ended;
}

transfer_summary blocking_put(const client_request& asked, source& from) {
    error_code error;
    const auto ended = put(asked, from, error);
    CHECK(error == ended.outcome);
    return ended;
}

template <class Start>
transfer_summary run(Start start) {
    asio::io_context context;
    tftp::client client(context.get_executor());
    transfer_summary ended;
    bool called = false;
    start(client, [&](error_code error, transfer_summary s) {
        CHECK(error == s.outcome);
        ended = std::move(s);
        called = true;
    });
    CHECK_FALSE(called);
    context.run();
    CHECK(called);
    return ended;
}

transfer_summary async_get(const client_request& asked, sink& into) {
    return run([&](client& c, auto done) { c.async_get(asked, into, done); });
}

transfer_summary async_put(const client_request& asked, source& from) {
    return run([&](client& c, auto done) { c.async_put(asked, from, done); });
}

constexpr front fronts[] = {
    {"blocking", blocking_get, blocking_put}, {"asynchronous", async_get, async_put}};

/// Reads one file and writes another with what came.
asio::awaitable<void>
copy(tftp::client& client, client_request from, client_request to, std::uint64_t& copied) {
    memory_sink read(1000);
    co_await client.async_get(std::move(from), read, asio::use_awaitable);
    memory_source written(read.content());
    const auto ended = co_await client.async_put(std::move(to), written, asio::use_awaitable);
    copied = ended.counters.bytes;
}

/// Patience for tests in which nobody answers.
engine_config impatient() {
    engine_config e;
    e.rto.initial = 5ms;
    e.opening_sends = 3;
    e.give_up = 20ms;
    return e;
}

} // namespace

TEST_CASE("both fronts behave the same", "[net][driver][client]") {
    const front& f = fronts[GENERATE(0, 1)];
    const auto family = GENERATE(address_family::ipv4, address_family::ipv6);
    need_family(family);
    INFO(f.name);
    server_thread t;
    memory_sink into(1 << 22);

    SECTION("a file comes whole, in lockstep and in windows") {
        const std::string content = make_content(70'000, 3);
        t.files->set("file", content);
        client_request asked = ask(t.address(family), "file");
        if (GENERATE(false, true)) {
            asked.options = default_offer(1428);
        }
        const auto ended = f.get(asked, into);
        CHECK_FALSE(ended.outcome);
        CHECK(into.committed());
        CHECK((content_of(into) == content));
        CHECK(ended.counters.bytes == content.size());
        CHECK(ended.agreed.windowsize == asked.options->windowsize.value_or(1));
        CHECK(ended.peer.same_host(t.address(family)));
        CHECK(ended.peer.port != t.address(family).port);
        if (asked.options->tsize) {
            CHECK(ended.agreed.tsize == content.size());
        }
    }
    SECTION("an empty file comes and goes") {
        t.files->set("empty", "");
        client_request asked = ask(t.address(family), "empty");
        asked.options = default_offer(1428);
        CHECK_FALSE(f.get(asked, into).outcome);
        CHECK(into.committed());
        memory_source nothing({});
        asked.filename = "copy";
        CHECK_FALSE(f.put(asked, nothing).outcome);
        CHECK(t.files->get("copy") == "");
    }
    SECTION("an upload arrives whole and announces its size") {
        const std::string content = make_content(70'000, 4);
        memory_source from(std::as_bytes(std::span(content)));
        client_request asked = ask(t.address(family), "upload");
        asked.options = default_offer(1428);
        const auto ended = f.put(asked, from);
        CHECK_FALSE(ended.outcome);
        CHECK((t.files->get("upload") == content));
        CHECK(ended.agreed.tsize == content.size());
    }
    SECTION("netascii is local text at both ends") {
        const std::string text = "one\ntwo\r\n" + std::string(2000, '\n');
        t.files->set("text", text);
        client_request asked = ask(t.address(family), "text");
        asked.mode = transfer_mode::netascii;
        asked.options = default_offer(1428);
        CHECK_FALSE(f.get(asked, into).outcome);
        CHECK((content_of(into) == text));
        memory_source from(std::as_bytes(std::span(text)));
        asked.filename = "copy";
        CHECK_FALSE(f.put(asked, from).outcome);
        CHECK((t.files->get("copy") == text));
    }
    SECTION("the server's ERROR is the outcome") {
        const auto ended = f.get(ask(t.address(family), "nothing"), into);
        CHECK(ended.outcome == peer_errc::not_found);
        CHECK_FALSE(ended.peer_text.empty());
        CHECK_FALSE(into.committed());
    }
    SECTION("a closed port is known at once") {
        endpoint nobody;
        {
            const loopback_peer gone(family);
            nobody = gone.local();
        }
        const auto began = clock::now();
        const auto ended = f.get(ask(nobody, "file"), into);
        CHECK(ended.outcome == boost::system::errc::connection_refused);
        CHECK(ended.counters.timeouts == 0);
        // A request that nobody refuses is repeated for 31 s.
        CHECK(clock::now() - began < 10s);
    }
    SECTION("silence ends after the retries") {
        const loopback_peer silent(family);
        client_request asked = ask(silent.local(), "file");
        asked.engine = impatient();
        const auto ended = f.get(asked, into);
        CHECK(ended.outcome == errc::timed_out);
        CHECK(ended.counters.timeouts == 2);
    }
    SECTION("a name that fits no packet is not asked for") {
        CHECK(f.get(ask(t.address(family), std::string(600, 'x')), into).outcome == errc::too_long);
        CHECK(f.get(ask(t.address(family), ""), into).outcome == errc::bad_name);
    }
    SECTION("a sink that is too small ends it") {
        t.files->set("file", std::string(10'000, 'x'));
        memory_sink small(5000);
        CHECK(f.get(ask(t.address(family), "file"), small).outcome == errc::too_large);
        CHECK_FALSE(small.committed());
    }
}

TEST_CASE("both fronts ask again without options", "[net][driver][client][rfc2347]") {
    const front& f = fronts[GENERATE(0, 1)];
    const auto code =
        GENERATE(peer_errc::option_refused, peer_errc::illegal_operation, peer_errc::undefined);
    INFO(f.name);
    loopback_peer serving;
    datagram second_request;
    std::thread answers([&] {
        serving.say(serving.hear().value().first, error_packet(code));
        const auto second = serving.hear().value();
        second_request = second.second;
        serving.say(second.first, data(1, 3));
    });
    client_request asked = ask(serving.local(), "file");
    asked.options = default_offer(1428);
    memory_sink into(1000);
    const auto ended = f.get(asked, into);
    answers.join();
    CHECK(second_request == rrq("file"));
    CHECK_FALSE(ended.outcome);
    CHECK(into.content().size() == 3);
}

TEST_CASE("both fronts fall back only where it may help", "[net][driver][client][rfc2347]") {
    const front& f = fronts[GENERATE(0, 1)];
    INFO(f.name);
    loopback_peer serving;
    client_request asked = ask(serving.local(), "file");
    peer_errc code = peer_errc::not_found;
    SECTION("not for a missing file") {
        asked.options = default_offer(1428);
    }
    SECTION("not when told otherwise") {
        asked.options = default_offer(1428);
        asked.fall_back = false;
        code = peer_errc::option_refused;
    }
    SECTION("not from a plain request") {
        code = peer_errc::undefined;
    }
    std::thread answers([&] { serving.say(serving.hear().value().first, error_packet(code)); });
    memory_sink into(1000);
    CHECK(f.get(asked, into).outcome == code);
    answers.join();
    CHECK_FALSE(serving.hear(0ms));
}

TEST_CASE(
    "both fronts tell the ERROR when the plain request meets silence",
    "[net][driver][client][rfc2347]"
) {
    const front& f = fronts[GENERATE(0, 1)];
    INFO(f.name);
    loopback_peer serving;
    std::thread answers([&] {
        serving.say(
            serving.hear().value().first, error_packet(peer_errc::option_refused, "until noon")
        );
    });
    client_request asked = ask(serving.local(), "file");
    asked.options = default_offer(1428);
    asked.engine = impatient();
    memory_sink into(1000);
    const auto ended = f.get(asked, into);
    answers.join();
    CHECK(ended.outcome == peer_errc::option_refused);
    CHECK(ended.peer_text == "until noon");
    CHECK(ended.counters.timeouts == 2);
    // On a busy machine the request with options has left more than once by then.
    auto heard = serving.hear();
    while (heard && heard->second != rrq("file")) {
        heard = serving.hear();
    }
    CHECK(heard);
}

TEST_CASE("both fronts take no more than a request allows", "[net][driver][client]") {
    const front& f = fronts[GENERATE(0, 1)];
    INFO(f.name);
    server_thread t;
    t.files->set("file", std::string(2000, 'x'));
    client_request asked = ask(t.address(), "file");
    asked.options = default_offer(GENERATE(std::uint16_t{8}, std::uint16_t{1428}));
    SECTION("as much as it is") {
        asked.size_max_bytes = 2000;
        memory_sink into(10'000);
        CHECK_FALSE(f.get(asked, into).outcome);
        CHECK(into.content().size() == 2000);
    }
    SECTION("announced") {
        asked.size_max_bytes = 1999;
        memory_sink into(10'000);
        const auto ended = f.get(asked, into);
        CHECK(ended.outcome == errc::too_large);
        CHECK(into.content().empty());
    }
    SECTION("not announced") {
        asked.size_max_bytes = 1999;
        asked.options->tsize.reset();
        memory_sink into(10'000);
        CHECK(f.get(asked, into).outcome == errc::too_large);
        CHECK(into.content().size() <= 1999);
        CHECK_FALSE(into.committed());
    }
    SECTION("as text of this side") {
        // "\n" is two bytes on the wire.
        t.files->set("file", std::string(1000, '\n'));
        asked.mode = transfer_mode::netascii;
        asked.size_max_bytes = 1000;
        memory_sink into(10'000);
        CHECK_FALSE(f.get(asked, into).outcome);
        asked.size_max_bytes = 999;
        memory_sink less(10'000);
        CHECK(f.get(asked, less).outcome == errc::too_large);
    }
}

TEST_CASE("both fronts end in the time that a request allows", "[net][driver][client]") {
    const front& f = fronts[GENERATE(0, 1)];
    INFO(f.name);
    loopback_peer serving;
    client_request asked = ask(serving.local(), "file");
    asked.timeout = 60ms;
    memory_sink into(std::size_t{1} << 30);
    SECTION("nobody answers") {
        const auto ended = f.get(asked, into);
        CHECK(ended.outcome == errc::out_of_time);
        CHECK_FALSE(ended.answered);
    }
    SECTION("the content trickles") {
        std::optional<datagram> last;
        std::thread answers([&] {
            auto [client, request] = serving.hear().value();
            for (std::uint16_t block = 1; !last; ++block) {
                serving.say(client, data(block, 512));
                const auto answer = serving.hear().value().second;
                if (answer != ack(block)) {
                    last = answer;
                }
            }
        });
        const auto ended = f.get(asked, into);
        answers.join();
        CHECK(ended.outcome == errc::out_of_time);
        CHECK(ended.answered);
        CHECK(ended.counters.blocks > 0);
        CHECK(*last == error_packet(peer_errc::undefined, "took too long"));
        CHECK_FALSE(into.committed());
    }
    SECTION("a refusal of the options included") {
        asked.options = default_offer(1428);
        std::thread answers([&] {
            serving.say(
                serving.hear().value().first, error_packet(peer_errc::option_refused, "noon")
            );
        });
        const auto ended = f.get(asked, into);
        answers.join();
        CHECK(ended.outcome == peer_errc::option_refused);
        CHECK(ended.peer_text == "noon");
    }
    SECTION("what was done in time stays done") {
        std::thread answers([&] { serving.say(serving.hear().value().first, data(1, 3)); });
        CHECK_FALSE(f.get(asked, into).outcome);
        answers.join();
        CHECK(into.committed());
    }
    SECTION("an upload") {
        memory_source content(bytes_view{});
        const auto ended = f.put(asked, content);
        CHECK(ended.outcome == errc::out_of_time);
    }
}

TEST_CASE("client works with every completion token", "[net][client]") {
    server_thread t;
    t.files->set("file", "content");
    asio::io_context context;
    tftp::client client(context.get_executor());
    CHECK(client.get_executor() == context.get_executor());
    const client_request asked = ask(t.address(), "file");
    memory_sink into(1000);

    SECTION("use_future") {
        std::future<transfer_summary> done = client.async_get(asked, into, asio::use_future);
        context.run();
        CHECK_FALSE(done.get().outcome);
    }
    SECTION("use_future, with an error") {
        auto done = client.async_get(ask(t.address(), "nothing"), into, asio::use_future);
        context.run();
        CHECK_THROWS_AS(done.get(), boost::system::system_error);
    }
    SECTION("use_awaitable") {
        std::uint64_t copied = 0;
        asio::co_spawn(
            context, copy(client, asked, ask(t.address(), "copy"), copied), asio::detached
        );
        context.run();
        CHECK(copied == 7);
        CHECK(t.files->get("copy") == "content");
    }
    SECTION("deferred") {
        auto later = client.async_get(asked, into, asio::deferred);
        CHECK_FALSE(into.committed());
        bool ended = false;
        std::move(later)([&](error_code error, const transfer_summary&) {
            CHECK_FALSE(error);
            ended = true;
        });
        context.run();
        CHECK(ended);
    }
    CHECK((into.content().empty() || content_of(into) == "content"));
}

TEST_CASE("an operation that fails at once completes by a post", "[net][client]") {
    asio::io_context context;
    tftp::client client(context.get_executor());
    memory_sink into(1000);
    error_code outcome;
    client.async_get(
        ask(loopback(address_family::ipv4).with_port(69), ""),
        into,
        [&](error_code error, const transfer_summary&) { outcome = error; }
    );
    CHECK_FALSE(outcome);
    context.run();
    CHECK(outcome == errc::bad_name);
}

TEST_CASE("a cancelled operation tells the server and ends", "[net][client]") {
    const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial);
    loopback_peer serving;
    asio::io_context context;
    tftp::client client(context.get_executor());
    memory_sink into(10'000);
    asio::cancellation_signal signal;
    std::vector<error_code> outcomes;
    client.async_get(
        ask(serving.local(), "file"),
        into,
        asio::bind_cancellation_slot(
            signal.slot(),
            [&](error_code error, const transfer_summary&) { outcomes.push_back(error); }
        )
    );
    context.poll();
    const auto asked = serving.hear();
    REQUIRE(asked);
    serving.say(asked->first, data(1));
    context.run_one_for(20s);
    REQUIRE(serving.hear()->second == ack(1));
    signal.emit(type);
    CHECK(outcomes.empty());
    signal.emit(type);
    context.run();
    REQUIRE(outcomes.size() == 1);
    CHECK(outcomes[0] == asio::error::operation_aborted);
    const auto last = serving.hear();
    REQUIRE(last);
    CHECK(last->second[1] == std::byte{5});
    CHECK_FALSE(serving.hear(0ms));
    CHECK_FALSE(into.committed());
}

TEST_CASE("total cancellation is not promised and does nothing", "[net][client]") {
    server_thread t;
    t.files->set("file", "content");
    asio::io_context context;
    tftp::client client(context.get_executor());
    memory_sink into(1000);
    asio::cancellation_signal signal;
    error_code outcome = errc::stopped;
    client.async_get(
        ask(t.address(), "file"),
        into,
        asio::bind_cancellation_slot(
            signal.slot(), [&](error_code error, const transfer_summary&) { outcome = error; }
        )
    );
    signal.emit(asio::cancellation_type::total);
    context.run();
    CHECK_FALSE(outcome);
}

TEST_CASE("an operation keeps the loop of its handler running", "[net][client]") {
    server_thread t;
    t.files->set("file", "content");
    asio::io_context waits;
    asio::io_context handles;
    tftp::client client(waits.get_executor());
    memory_sink into(1000);
    bool called = false;
    client.async_get(
        ask(t.address(), "file"),
        into,
        asio::bind_executor(
            handles,
            [&](error_code, const transfer_summary&) {
                called = handles.get_executor().running_in_this_thread();
            }
        )
    );
    // Without work it would count as stopped.
    handles.poll();
    CHECK_FALSE(handles.stopped());
    waits.run();
    CHECK_FALSE(called);
    handles.run();
    CHECK(called);
}

TEST_CASE("operations end with their loop and close their sockets once", "[net][client]") {
    const loopback_peer silent;
    memory_sink into(1000);
    const int before = bad_closes;
    {
        asio::io_context context;
        tftp::client client(context.get_executor());
        client.async_get(
            ask(silent.local(), "file"), into, [](error_code, const transfer_summary&) {}
        );
        context.poll();
    }
    CHECK(bad_closes == before);
}
