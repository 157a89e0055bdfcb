// A consumer of tftp::net: serves one file made in memory and fetches it with the asynchronous
// client.
#include <tftp/driver/content.hpp>
#include <tftp/io/sink.hpp>
#include <tftp/io/source.hpp>
#include <tftp/net/client.hpp>
#include <tftp/net/server.hpp>

#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <memory>
#include <span>
#include <string_view>
#include <thread>

namespace {

constexpr std::string_view greeting = "hello from memory";

class one_file final : public tftp::io::content {
public:
    tftp::result<std::shared_ptr<tftp::io::source>>
    open_read(const tftp::io::content_request&) noexcept override {
        return std::make_shared<tftp::io::memory_source>(std::as_bytes(std::span(greeting)));
    }

    tftp::result<std::shared_ptr<tftp::io::sink>>
    open_write(const tftp::io::content_request&) noexcept override {
        return make_error_code(tftp::errc::forbidden);
    }
};

} // namespace

int main() {
    tftp::net::server::config setup;
    setup.listen = {tftp::endpoint::ipv4(127, 0, 0, 1, 0)};
    setup.files = std::make_shared<one_file>();
    setup.workers = 1;
    tftp::net::server server(setup);
    std::thread serving([&server] { server.run(); });

    boost::asio::io_context loop;
    tftp::net::client client(loop.get_executor());
    tftp::io::request asked;
    asked.server = server.endpoints().front();
    asked.filename = "greeting";
    tftp::io::memory_sink content(512);
    client.async_get(asked, content, [&](tftp::error_code error, tftp::io::transfer_summary ended) {
        std::printf("%s, %zu octets\n", error.message().c_str(), content.content().size());
        server.stop();
        static_cast<void>(ended);
    });
    loop.run();
    serving.join();
    return content.committed() && content.content().size() == greeting.size() ? 0 : 1;
}
