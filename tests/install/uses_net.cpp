// A consumer of tftp::net: serves one file made in memory and fetches it with the asynchronous
// client.
#include <tftp/client/async/async_client.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/server/async/server.hpp>

#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <memory>
#include <span>
#include <string_view>
#include <thread>

namespace {

constexpr std::string_view greeting = "hello from memory";

class one_file final : public tftp::content_provider {
public:
    tftp::result<std::shared_ptr<tftp::source>>
    open_read(const tftp::content_request&) noexcept override {
        return std::make_shared<tftp::memory_source>(std::as_bytes(std::span(greeting)));
    }

    tftp::result<std::shared_ptr<tftp::sink>>
    open_write(const tftp::content_request&) noexcept override {
        return make_error_code(tftp::errc::forbidden);
    }
};

} // namespace

int main() {
    tftp::server::config setup;
    setup.listen = {tftp::endpoint::ipv4(127, 0, 0, 1, 0)};
    setup.files = std::make_shared<one_file>();
    setup.workers = 1;
    tftp::server server(setup);
    std::thread serving([&server] { server.run(); });

    boost::asio::io_context loop;
    tftp::client client(loop.get_executor());
    tftp::client_request asked;
    asked.server = server.endpoints().front();
    asked.filename = "greeting";
    tftp::memory_sink content(512);
    client.async_get(asked, content, [&](tftp::error_code error, tftp::transfer_summary ended) {
        std::printf("%s, %zu octets\n", error.message().c_str(), content.content().size());
        server.stop();
        static_cast<void>(ended);
    });
    loop.run();
    serving.join();
    return content.committed() && content.content().size() == greeting.size() ? 0 : 1;
}
