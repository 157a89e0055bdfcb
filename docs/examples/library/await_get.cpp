// Shows: a coroutine that awaits a file and hears all of how it ended, and a server in the same
// event loop: one thread runs both.
//
// Run:     await_get
// Observe: what the server says to a good name and to a bad one.

#include <tftp/async.hpp>
#include <tftp/server.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr const char* usage = "usage: await_get   (takes no arguments)\n";

tftp::content answer(const tftp::request& asked) {
    if (asked.name == "time") {
        return tftp::text("noon\n");
    }
    return tftp::peer_errc::not_found;
}

asio::awaitable<void> ask(tftp::client& client, tftp::async_server& server) {
    const std::string base = "tftp://" + server.endpoints().front().to_string() + "/";
    for (const std::string name : {"time", "money"}) {
        tftp::memory_sink sink(1000);
        const std::string url = base + name;
        auto [ec, done] = co_await client.async_get(url, sink, {.timeout = 5s}, asio::as_tuple);
        std::cout << name << ": "
                  << (ec ? tftp::explain(done) : std::to_string(done.counters.bytes) + " bytes")
                  << std::endl;
    }
    server.stop();
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    if (argc != 1) {
        std::cerr << usage;
        return 2;
    }
    try {
        asio::io_context context;
        tftp::async_server server(context.get_executor(), {.listen = "127.0.0.1:0"}, answer);
        tftp::client client(context.get_executor());
        asio::co_spawn(context, ask(client, server), asio::detached);
        context.run();
    } catch (const std::exception& failed) {
        std::cerr << "await_get: " << failed.what() << '\n';
        return 1;
    }
}
