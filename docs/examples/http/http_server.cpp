// Shows: a small server of static files over HTTP/1.1, with Boost.Beast for the messages and one
// coroutine per connection. All names go through tftp::export_root, the same as with TFTP: no
// name, link or race leads out of the directory.
//
// Run:     http_server 127.0.0.1:8080 DIRECTORY   (beside: curl -i http://127.0.0.1:8080/FILE)
// Observe: a line per request. Two files of one curl come over one connection; GET and HEAD only;
//          `curl --path-as-is http://127.0.0.1:8080/../etc/passwd` gets nothing. Ctrl-C ends it.

#include "common/program.hpp"
#include "common/text.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/opened_file.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using namespace std::chrono_literals;
using file = std::shared_ptr<const tftp::opened_file>;

/// A client that sends or takes nothing for so long is given up.
constexpr auto patience = 30s;

/// "/some%20file?query" names "some file". Empty, which no file is, when malformed.
std::string name_of(std::string_view target) {
    target = target.substr(0, target.find('?'));
    std::string out;
    for (std::size_t i = 0; i < target.size(); ++i) {
        if (target[i] != '%') {
            out += target[i];
            continue;
        }
        unsigned char octet = 0;
        const char* const digits = target.data() + i + 1;
        if (target.size() - i < 3 ||
            std::from_chars(digits, digits + 2, octet, 16).ptr != digits + 2) {
            return "";
        }
        out += static_cast<char>(octet);
        i += 2;
    }
    return out.ends_with('/') ? out + "index.html" : out;
}

struct answer {
    http::response<http::empty_body> head;
    /// Null: head only.
    file body;
};

/// Returns whether the client sent what is no HTTP, or too much of it.
bool is_about_http(const boost::system::error_code& failed) {
    return failed.category() == http::make_error_code(http::error{}).category();
}

/// Returns an answer that is nothing but a head.
answer plain(http::status status) {
    answer out;
    out.head.result(status);
    out.head.content_length(0);
    return out;
}

/// Finds what is asked for. Whatever is wrong with a name, the client learns "not found".
answer find(const tftp::export_root& root, const http::request<http::string_body>& asked) {
    if (asked.method() != http::verb::get && asked.method() != http::verb::head) {
        answer out = plain(http::status::method_not_allowed);
        out.head.set(http::field::allow, "GET, HEAD");
        return out;
    }
    const auto opened = root.open_read(name_of(asked.target()));
    if (!opened) {
        return plain(http::status::not_found);
    }
    answer out = plain(http::status::ok);
    out.head.content_length((*opened)->size());
    out.body = asked.method() == http::verb::get ? *opened : nullptr;
    return out;
}

/// Sends the file, a buffer at a time: memory does not grow with its size.
asio::awaitable<void> send_file(beast::tcp_stream& stream, const tftp::opened_file& content) {
    std::vector<char> octets(65536);
    for (std::uint64_t offset = 0; offset < content.size();) {
        const ::iovec gap{octets.data(), octets.size()};
        // A file that became shorter than promised ends the connection, by an exception. This may
        // wait for the disk, and all other clients with it.
        const auto came = content.read(offset, std::span(&gap, 1)).value();
        stream.expires_after(patience);
        co_await asio::async_write(stream, asio::buffer(octets.data(), came.bytes), use_awaitable);
        offset += came.bytes;
    }
}

asio::awaitable<void> converse(beast::tcp_stream& stream, const tftp::export_root& root) {
    const auto peer = stream.socket().remote_endpoint();
    beast::flat_buffer buffer;
    for (bool again = true; again;) {
        http::request_parser<http::string_body> parser; // takes a header of 8 KiB at most
        parser.body_limit(8192);                        // nothing we answer has a body
        stream.expires_after(patience);
        boost::system::error_code failed;
        co_await http::async_read(
            stream, buffer, parser, asio::redirect_error(use_awaitable, failed)
        );
        if (failed && (failed == http::error::end_of_stream || !is_about_http(failed))) {
            throw boost::system::system_error(failed);
        }
        const auto& asked = parser.get();
        answer reply = failed ? plain(http::status::bad_request) : find(root, asked);
        reply.head.version(asked.version());
        // Behind what is malformed nobody knows where the next request begins.
        reply.head.keep_alive(!failed && asked.keep_alive());
        std::cout << peer << ' ' << example::printable(asked.method_string()) << ' '
                  << example::printable(asked.target()) << ' ' << reply.head.result_int()
                  << std::endl;

        http::response_serializer<http::empty_body> head(reply.head);
        stream.expires_after(patience);
        co_await http::async_write_header(stream, head, use_awaitable);
        if (reply.body) {
            co_await send_file(stream, *reply.body);
        }
        again = reply.head.keep_alive();
    }
    stream.socket().shutdown(asio::ip::tcp::socket::shutdown_send);
}

asio::awaitable<void> attend(beast::tcp_stream stream, const tftp::export_root& root) {
    try {
        co_await converse(stream, root);
    } catch (const boost::system::system_error& failed) {
        // The usual end: the client has gone, or said nothing for too long.
        if (failed.code() != http::error::end_of_stream) {
            std::cout << "connection ended: " << failed.code().message() << std::endl;
        }
    }
}

/// Accepts for ever; a callback will do, as nothing is to be remembered from one to the next.
struct listener {
    asio::ip::tcp::acceptor acceptor;
    asio::steady_timer pause;
    const tftp::export_root& root;

    void accept() {
        acceptor.async_accept([this](boost::system::error_code failed, auto socket) {
            if (failed) {
                // No descriptor left, most likely: until a client goes there is nothing to be done.
                pause.expires_after(100ms);
                pause.async_wait([this](boost::system::error_code) { accept(); });
                return;
            }
            auto connection = attend(beast::tcp_stream(std::move(socket)), root);
            asio::co_spawn(acceptor.get_executor(), std::move(connection), asio::detached);
            accept();
        });
    }
};

int serve(const example::arguments& given) {
    const tftp::endpoint where = given.address("ADDRESS:PORT");
    const std::string& directory = given.text("DIRECTORY");
    const auto root = tftp::export_root::open(directory.c_str(), {});
    if (!root) {
        throw example::usage_error(directory + ": " + root.error().message());
    }
    asio::io_context context(1);
    const auto address = asio::ip::make_address(tftp::address_to_string(where));
    listener clients{{context, {address, where.port}}, asio::steady_timer(context), *root};
    asio::signal_set signals(context, SIGINT, SIGTERM);
    signals.async_wait([&context](boost::system::error_code, int) { context.stop(); });
    clients.accept();
    std::cout << "serving on " << clients.acceptor.local_endpoint() << std::endl;
    context.run();
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Serves the files of a directory over HTTP.",
        {{"ADDRESS:PORT", "where it listens; port 0: any free one"}, {"DIRECTORY", "its files"}},
        serve
    );
}
