// Shows: C++20 coroutines on Asio. Each client has a coroutine that reads like single_process:
// read, write, read; at co_await it is left until there is something, and the thread goes on with
// others. It is the callbacks of asio_callbacks, written down by the compiler.
//
// Run:     asio_coroutines --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 5000
// Observe: thousands of clients in one thread, and no state machine in the program.
//
// See docs/examples/README.md.

#include "common/served_transfer.hpp"
#include "common/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <csignal>
#include <iostream>
#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using asio::awaitable;
using asio::use_awaitable;

/// For waits that are cancelled all the time: an exception for each would cost more than the block.
constexpr auto quietly = asio::as_tuple(use_awaitable);

awaitable<void> echo(asio::ip::tcp::socket client) {
    std::array<char, 4096> buffer{};
    for (;;) {
        // The end of the connection is an exception, which ends this coroutine alone.
        const std::size_t size =
            co_await client.async_read_some(asio::buffer(buffer), use_awaitable);
        co_await asio::async_write(client, asio::buffer(buffer, size), use_awaitable);
    }
}

awaitable<void> accept_all(asio::ip::tcp::acceptor listener) {
    for (;;) {
        asio::ip::tcp::socket client = co_await listener.async_accept(use_awaitable);
        asio::co_spawn(listener.get_executor(), echo(std::move(client)), asio::detached);
    }
}

/// One transfer, from its first datagram to its last.
awaitable<void> transfer(std::unique_ptr<example::served_transfer> served) {
    using descriptor = asio::posix::stream_descriptor;
    const auto executor = co_await asio::this_coro::executor;
    descriptor port(executor, served->descriptor());
    asio::steady_timer timer(executor);
    while (!served->over()) {
        const tftp::interest wanted = served->wants();
        timer.expires_at(served->deadline().value_or(tftp::time_point::max()));
        // Whichever comes first; the other wait is cancelled.
        bool ready = false;
        if (wanted.read || wanted.write) {
            const auto kind = wanted.write ? descriptor::wait_write : descriptor::wait_read;
            const auto first =
                co_await (port.async_wait(kind, quietly) || timer.async_wait(quietly));
            ready = first.index() == 0;
        } else {
            co_await timer.async_wait(quietly);
        }
        served->go_on(ready && !wanted.write, ready && wanted.write);
    }
    std::cout << served->report() << std::endl;
    // The transfer closes it.
    port.release();
}

awaitable<void>
take_requests(example::unique_fd listener, tftp::endpoint where, tftp::content_provider& files) {
    const auto executor = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor port(executor, listener.get());
    for (;;) {
        co_await port.async_wait(asio::posix::stream_descriptor::wait_read, use_awaitable);
        if (const auto request = example::next_request(listener)) {
            auto served = std::make_unique<example::served_transfer>(*request, where, files);
            if (!served->over()) {
                asio::co_spawn(executor, transfer(std::move(served)), asio::detached);
            }
        }
    }
}

int run(const example::arguments& given) {
    asio::io_context loop(1);
    asio::signal_set signals(loop, SIGINT, SIGTERM);
    signals.async_wait([&loop](const auto&, int) { loop.stop(); });
    const tftp::endpoint where = given.address("--listen");
    if (given.one_of("--service", {"echo", "tftp"}) == "echo") {
        const bool ipv4 = where.family == tftp::address_family::ipv4;
        example::unique_fd listener = example::listen_tcp(where);
        example::announce(example::local_address(listener));
        asio::ip::tcp::acceptor acceptor(
            loop, ipv4 ? asio::ip::tcp::v4() : asio::ip::tcp::v6(), listener.release()
        );
        asio::co_spawn(loop, accept_all(std::move(acceptor)), asio::detached);
        loop.run();
    } else {
        const auto files = example::open_directory(given.text("--root"));
        example::unique_fd listener = example::listen_udp(where);
        example::announce(example::local_address(listener));
        asio::co_spawn(loop, take_requests(std::move(listener), where, *files), asio::detached);
        loop.run();
    }
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves many clients in one thread by coroutines of Asio.",
        example::server_arguments,
        run
    );
}
