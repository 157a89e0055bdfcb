// Shows: a server in two lines: where it listens, and what it answers.
//
// Run:     hello_server 127.0.0.1:0
// Observe: "serving on 127.0.0.1:PORT"; each client is greeted by its address. SIGINT or SIGTERM
//          ends it.

#include <tftp/server.hpp>

#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <exception>
#include <iostream>
#include <string_view>

namespace {

constexpr const char* usage = "usage: hello_server ADDRESS:PORT   (port 0: any free one)\n";

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    if (argc != 2) {
        std::cerr << usage;
        return 2;
    }
    try {
        tftp::server server({.listen = argv[1]}, [](const tftp::request& r) {
            return tftp::text("hello " + r.peer.to_string() + "\n");
        });
        boost::asio::signal_set signals(server.get_executor(), SIGINT, SIGTERM);
        signals.async_wait([&server](auto...) { server.stop(); });
        std::cout << "serving on " << server.endpoints().front().to_string() << std::endl;
        server.run();
    } catch (const std::exception& failed) {
        std::cerr << "hello_server: " << failed.what() << '\n';
        return 1;
    }
}
