// A consumer of tftp::net: a server that is made of a function, and a coroutine-free client of it.
#include <tftp/async.hpp>
#include <tftp/server.hpp>

#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

namespace {

constexpr std::string_view greeting = "hello from memory";

} // namespace

int main() {
    tftp::server server({.listen = "127.0.0.1:0"}, [](const tftp::request&) {
        return tftp::text(std::string(greeting));
    });
    std::thread serving([&server] { server.run(); });

    const std::string url = "tftp://" + server.endpoints().front().to_string() + "/greeting";
    boost::asio::io_context loop;
    tftp::client client(loop.get_executor());
    tftp::memory_sink content(512);
    client.async_get(url, content, {}, [&](tftp::error_code error, tftp::transfer_summary ended) {
        std::printf("%s, %zu bytes\n", error.message().c_str(), content.content().size());
        server.stop();
        static_cast<void>(ended);
    });
    loop.run();
    serving.join();
    return content.committed() && content.content().size() == greeting.size() ? 0 : 1;
}
