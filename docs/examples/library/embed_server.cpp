// Shows: a server inside an application that has signals and timers of its own. `run()` lends its
// thread to them; the workers have their own.
//
// Run:     embed_server 127.0.0.1:0 DIRECTORY
// Observe: "serving on 127.0.0.1:PORT"; a line for each request that ends. The first SIGINT or
//          SIGTERM lets transfers finish for ten seconds, a second one ends them at once.

#include <tftp/file/directory_provider.hpp>
#include <tftp/file/export_root.hpp>
#include <tftp/server/async/server.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr const char* usage =
    "usage: embed_server ADDRESS:PORT DIRECTORY   (port 0: any free one)\n";

/// A name comes from a stranger: nothing of it may move the cursor of a terminal.
std::string printable(std::string_view name) {
    std::string out(name);
    for (char& c : out) {
        c = c < ' ' || c > '~' ? '?' : c;
    }
    return out;
}

std::string describe(const tftp::transfer_summary& s) {
    return (s.verb == tftp::transfer_direction::read ? "read  " : "write ") +
           printable(s.filename) + " by " + tftp::to_string(s.peer) + ": " +
           std::to_string(s.counters.bytes) + " bytes, " + (s.outcome ? s.outcome.message() : "ok");
}

/// The first signal drains, the second stops.
void on_signal(tftp::server& server, boost::asio::signal_set& signals, bool again) {
    signals.async_wait([&server, &signals, again](tftp::error_code failed, int) {
        if (failed) {
            return;
        }
        if (again) {
            std::cout << "stopping" << std::endl;
            server.stop();
            return;
        }
        std::cout << "draining, " << server.running() << " under way" << std::endl;
        server.drain(std::chrono::seconds(10));
        on_signal(server, signals, true);
    });
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    const auto address = tftp::parse_endpoint(argc == 3 ? argv[1] : "", 69);
    if (!address) {
        std::cerr << usage;
        return 2;
    }
    auto root = tftp::export_root::open(argv[2], {});
    if (!root) {
        std::cerr << "embed_server: " << argv[2] << ": " << root.error().message() << '\n';
        return 2;
    }
    try {
        // Set once the server exists; no worker runs before.
        std::function<void(std::string)> print;
        tftp::server::config setup;
        setup.listen = {*address};
        setup.files = std::make_shared<tftp::directory_provider>(std::move(*root));
        setup.on_finished = [&print](const tftp::transfer_summary& s) { print(describe(s)); };
        tftp::server server(std::move(setup));

        // Workers report from their threads; the application's thread prints, so lines never mix.
        print = [executor = server.get_executor()](std::string line) {
            boost::asio::post(executor, [line = std::move(line)] {
                std::cout << line << std::endl;
            });
        };
        boost::asio::signal_set signals(server.get_executor(), SIGINT, SIGTERM);
        on_signal(server, signals, false);
        std::cout << "serving on " << tftp::to_string(server.endpoints().front()) << std::endl;
        server.run();
        std::cout << "ended" << std::endl;
    } catch (const std::exception& failed) {
        std::cerr << "embed_server: " << failed.what() << '\n';
        return 1;
    }
}
