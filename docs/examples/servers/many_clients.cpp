// Shows: the other end of all servers here: many connections at once in one thread. Each sends a
// random number at a random moment, waits until it comes back, and compares it. Of TFTP each
// fetches a file, one after the other.
//
// Run:     epoll --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000 --messages 10 --pause 100
// Observe: how many a server bears, how many answers it gives in a second, and how long the slowest
//          hundredth of them takes; the same load on another server shows what its model costs.
//
// See docs/examples/README.md.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <tftp/client/async/async_client.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/transfer/summary.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using std::chrono::microseconds;
using clock_type = std::chrono::steady_clock;

struct load {
    tftp::endpoint server;
    std::uint64_t connections;
    std::uint64_t messages;
    microseconds pause_max;
    std::string file;
};

/// What all clients found out.
struct findings {
    std::vector<microseconds> answers;
    std::uint64_t failed = 0;
    std::string first_failure;

    void fail(const std::string& why) {
        if (failed++ == 0) {
            first_failure = why;
        }
    }

    /// part: 0.5 is the median.
    [[nodiscard]] long long percentile(double part) {
        if (answers.empty()) {
            return 0;
        }
        const auto place = static_cast<std::size_t>(part * static_cast<double>(answers.size() - 1));
        std::nth_element(
            answers.begin(), answers.begin() + static_cast<long>(place), answers.end()
        );
        return answers[place].count();
    }
};

class clients {
public:
    clients(asio::io_context& loop, const load& what)
        : loop_(loop), what_(what), tftp_(loop.get_executor()) {}

    findings found;

    /// One connection of an echo server.
    asio::awaitable<void> echo() {
        const tftp::socket_address address(what_.server);
        asio::ip::tcp::endpoint server;
        std::memcpy(server.data(), address.data(), address.size());
        server.resize(address.size());
        asio::ip::tcp::socket socket(loop_);
        co_await socket.async_connect(server, use_awaitable);
        socket.set_option(asio::ip::tcp::no_delay(true));
        for (std::uint64_t i = 0; i < what_.messages; ++i) {
            co_await rest();
            const std::string sent = std::to_string(random_()) + '\n';
            std::string received(sent.size(), '\0');
            const auto begun = clock_type::now();
            co_await asio::async_write(socket, asio::buffer(sent), use_awaitable);
            co_await asio::async_read(socket, asio::buffer(received), use_awaitable);
            note(begun);
            if (received != sent) {
                throw std::runtime_error("another number came back");
            }
        }
    }

    /// One client of a TFTP server.
    asio::awaitable<void> fetch() {
        for (std::uint64_t i = 0; i < what_.messages; ++i) {
            co_await rest();
            tftp::client_request asked;
            asked.server = what_.server;
            asked.filename = what_.file;
            tftp::memory_sink into(std::size_t{64} << 20);
            const auto begun = clock_type::now();
            co_await tftp_.async_get(asked, into, use_awaitable);
            note(begun);
        }
    }

private:
    /// A random time, so that clients do not walk in step.
    asio::awaitable<void> rest() {
        if (what_.pause_max.count() > 0) {
            std::uniform_int_distribution<long> any(0, what_.pause_max.count());
            asio::steady_timer timer(loop_, microseconds(any(random_)));
            co_await timer.async_wait(use_awaitable);
        }
    }

    void note(clock_type::time_point begun) {
        found.answers.push_back(std::chrono::duration_cast<microseconds>(clock_type::now() - begun)
        );
    }

    asio::io_context& loop_;
    const load& what_;
    tftp::client tftp_;
    std::minstd_rand random_{std::random_device{}()};
};

int run(const example::arguments& given) {
    load what{
        given.address("ADDRESS:PORT"),
        given.number("--connections", 1, 100'000),
        given.number("--messages", 1, 1'000'000),
        std::chrono::milliseconds(given.number("--pause", 0, 60'000)),
        given.text("--file"),
    };
    const bool echo = given.one_of("--service", {"echo", "tftp"}) == "echo";
    example::raise_descriptor_limit();
    asio::io_context loop(1);
    clients all(loop, what);
    const auto begun = clock_type::now();
    for (std::uint64_t i = 0; i < what.connections; ++i) {
        asio::co_spawn(
            loop,
            echo ? all.echo() : all.fetch(),
            [&all](const std::exception_ptr& failed) {
                try {
                    if (failed) {
                        std::rethrow_exception(failed);
                    }
                } catch (const boost::system::system_error& why) {
                    all.found.fail(why.code().message());
                } catch (const std::exception& why) {
                    all.found.fail(why.what());
                }
            }
        );
    }
    loop.run();
    const std::chrono::duration<double> took = clock_type::now() - begun;

    findings& found = all.found;
    const auto answers = static_cast<double>(found.answers.size());
    std::cout << found.answers.size() << " answers in " << took.count()
              << " s: " << static_cast<long>(answers / took.count()) << " a second; half within "
              << found.percentile(0.5) << " us, 99 % within " << found.percentile(0.99) << " us\n";
    if (found.failed != 0) {
        std::cout << found.failed << " of " << what.connections
                  << " clients failed, the first: " << found.first_failure << '\n';
    }
    return found.failed == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Drives a server by many connections at once.",
        {
            {"ADDRESS:PORT", "the server"},
            {"--service", "echo (TCP) or tftp", "echo"},
            {"--connections", "clients at the same time", "100"},
            {"--messages", "numbers, or files, of each", "10"},
            {"--pause", "longest rest before each, in milliseconds", "0"},
            {"--file", "what TFTP fetches", "file"},
        },
        run
    );
}
