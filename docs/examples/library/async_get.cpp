// Shows: several files at a time in one thread. Each is a coroutine that awaits
// `tftp::client::async_get`; any other completion token of Asio does as well.
//
// Run:     async_get 127.0.0.1:6969 FILE...
// Observe: a line for each file, in the order in which they end. Status 1 when one failed.

#include <tftp/client/async/async_client.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

namespace {

constexpr const char* usage = "usage: async_get ADDRESS:PORT FILE...\n";

/// Content beyond this ends a transfer: what comes from the network is bounded.
constexpr std::size_t size_max = std::size_t{256} << 20;

boost::asio::awaitable<void>
fetch(tftp::client& client, tftp::endpoint server, std::string name, bool& failed) {
    tftp::client_request asked;
    asked.server = server;
    asked.filename = name;
    asked.options = tftp::default_offer(1428);
    tftp::memory_sink content(size_max);
    try {
        const auto ended = co_await client.async_get(asked, content, boost::asio::use_awaitable);
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(ended.elapsed);
        std::cout << name << ": " << content.content().size() << " bytes in " << took.count()
                  << " us, window " << ended.agreed.windowsize << std::endl;
    } catch (const boost::system::system_error& error) {
        std::cout << name << ": " << error.code().message() << std::endl;
        failed = true;
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    const auto server = tftp::parse_endpoint(argc > 2 ? argv[1] : "", 69);
    if (!server) {
        std::cerr << usage;
        return 2;
    }
    bool failed = false;
    try {
        boost::asio::io_context context;
        tftp::client client(context.get_executor());
        for (int i = 2; i < argc; ++i) {
            boost::asio::co_spawn(
                context, fetch(client, *server, argv[i], failed), boost::asio::detached
            );
        }
        context.run();
    } catch (const std::exception& error) {
        std::cerr << "async_get: " << error.what() << '\n';
        return 1;
    }
    return failed ? 1 : 0;
}
