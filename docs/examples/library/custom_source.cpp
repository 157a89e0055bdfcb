// Shows: a server whose files do not exist. `content_provider` answers each request with a source;
// `source` makes up the bytes of any offset when they are asked for, so a file of any size
// costs no memory and a retransmission costs nothing but asking again.
//
// Run:     custom_source 127.0.0.1:0
// Observe: "serving on 127.0.0.1:PORT". "lines-1000" holds 1000 numbered lines, "whoami" the
//          address of who asks; everything else is not found. SIGINT or SIGTERM ends it.

#include <tftp/content/provider.hpp>
#include <tftp/server/async/server.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <string_view>

namespace {

using tftp::error_code;
using tftp::result;

constexpr const char* usage = "usage: custom_source ADDRESS:PORT   (port 0: any free one)\n";

/// "00000001\n", "00000002\n", ...: each octet follows from its offset.
class numbered_lines final : public tftp::source {
public:
    static constexpr std::uint64_t line_size = 9;

    explicit numbered_lines(std::uint64_t lines) : size_(lines * line_size) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override { return size_; }

    [[nodiscard]] result<tftp::read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        tftp::read_outcome outcome;
        for (const ::iovec& gap : gaps) {
            auto* const to = static_cast<char*>(gap.iov_base);
            for (std::size_t i = 0; i < gap.iov_len && offset < size_; ++i) {
                to[i] = octet_at(offset++);
                ++outcome.bytes;
            }
        }
        outcome.end = offset == size_;
        return outcome;
    }

    [[nodiscard]] result<tftp::read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return try_read(offset, gaps);
    }

private:
    static char octet_at(std::uint64_t offset) noexcept {
        const std::uint64_t column = offset % line_size;
        std::uint64_t number = offset / line_size + 1;
        for (std::uint64_t i = column; i + 2 < line_size; ++i) {
            number /= 10;
        }
        return column + 1 == line_size ? '\n' : static_cast<char>('0' + number % 10);
    }

    std::uint64_t size_;
};

/// A text made for one request; owns it, which `memory_source` does not.
class text_source final : public tftp::source {
public:
    explicit text_source(std::string text)
        : text_(std::move(text)), octets_(std::as_bytes(std::span(text_))) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return octets_.size();
    }

    [[nodiscard]] result<tftp::read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return octets_.try_read(offset, gaps);
    }

    [[nodiscard]] result<tftp::read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return octets_.read(offset, gaps);
    }

private:
    std::string text_;
    tftp::memory_source octets_;
};

class generated final : public tftp::content_provider {
public:
    // Every worker thread calls this at any time; there is no state to protect.
    [[nodiscard]] result<std::shared_ptr<tftp::source>>
    open_read(const tftp::content_request& wanted) noexcept override {
        try {
            constexpr std::string_view lines = "lines-";
            if (wanted.name == "whoami") {
                return std::make_shared<text_source>(tftp::to_string(wanted.peer) + "\n");
            }
            std::uint32_t count = 0;
            const char* const end = wanted.name.data() + wanted.name.size();
            if (wanted.name.starts_with(lines) &&
                std::from_chars(wanted.name.data() + lines.size(), end, count).ptr == end) {
                return std::make_shared<numbered_lines>(count);
            }
            return make_error_code(tftp::peer_errc::not_found);
        } catch (const std::bad_alloc&) {
            return make_error_code(boost::system::errc::not_enough_memory);
        }
    }

    [[nodiscard]] result<std::shared_ptr<tftp::sink>>
    open_write(const tftp::content_request&) noexcept override {
        return make_error_code(tftp::errc::forbidden);
    }
};

} // namespace

int main(int argc, char** argv) {
    const std::string_view argument = argc == 2 ? argv[1] : "";
    const auto address = tftp::parse_endpoint(argument, 69);
    const bool help = argument == "--help";
    if (help || !address) {
        (help ? std::cout : std::cerr) << usage;
        return help ? 0 : 2;
    }
    try {
        tftp::server::config setup;
        setup.listen = {*address};
        setup.files = std::make_shared<generated>();
        tftp::server server(std::move(setup));
        boost::asio::signal_set signals(server.get_executor(), SIGINT, SIGTERM);
        signals.async_wait([&](error_code, int) { server.stop(); });
        std::cout << "serving on " << tftp::to_string(server.endpoints().front()) << std::endl;
        server.run();
    } catch (const std::exception& failed) {
        std::cerr << "custom_source: " << failed.what() << '\n';
        return 1;
    }
}
