#include "execute.hpp"
#include "report.hpp"
#include "support/skip.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

using namespace tftp;
using namespace tftp::cli;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

/// A directory of its own, removed with everything in it.
class temporary_directory {
public:
    temporary_directory() {
        std::string name = std::filesystem::temp_directory_path() / "tftp-execute-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;

    [[nodiscard]] std::string operator/(const char* name) const { return path_ / name; }

    [[nodiscard]] std::ptrdiff_t entries() const {
        return std::distance(
            std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()
        );
    }

private:
    std::filesystem::path path_;
};

[[nodiscard]] std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_content(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
}

/// A server that answers each datagram as the test says, from the port it was asked at, until it
/// goes.
class scripted_server {
public:
    /// answer: takes a datagram, returns the reply; empty for none.
    explicit scripted_server(std::function<std::string(const std::string&)> answer)
        : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), answer_(std::move(answer)) {
        const socket_address any(endpoint::ipv4(127, 0, 0, 1, 0));
        REQUIRE(::bind(socket_.get(), any.data(), any.size()) == 0);
        socket_address bound;
        ::socklen_t size = socket_address::capacity;
        REQUIRE(::getsockname(socket_.get(), bound.data(), &size) == 0);
        port_ = bound.to_endpoint().port;
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        stop_.reset(ends[0]);
        stopped_.reset(ends[1]);
        thread_ = std::thread([this] { run(); });
    }

    ~scripted_server() {
        stop_.reset();
        thread_.join();
    }

    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    void run() {
        std::array<char, 65536> buffer{};
        std::array<::pollfd, 2> watched{{{socket_.get(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}}};
        // What was sent before the stop is still answered.
        while (::poll(watched.data(), watched.size(), -1) > 0 && watched[0].revents != 0) {
            socket_address from;
            ::socklen_t size = socket_address::capacity;
            const ::ssize_t n =
                ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, from.data(), &size);
            if (n < 0) {
                continue;
            }
            const std::string reply =
                answer_(std::string(buffer.data(), static_cast<std::size_t>(n)));
            if (!reply.empty()) {
                ::sendto(socket_.get(), reply.data(), reply.size(), 0, from.data(), size);
            }
        }
    }

    unique_fd socket_;
    unique_fd stop_;
    unique_fd stopped_;
    std::function<std::string(const std::string&)> answer_;
    std::thread thread_;
    std::uint16_t port_ = 0;
};

[[nodiscard]] std::string data(char block, std::string_view payload) {
    return "\0\3\0"s + block + std::string(payload);
}

[[nodiscard]] std::string error_packet(char code, std::string_view text) {
    return "\0\5\0"s + code + std::string(text) + '\0';
}

[[nodiscard]] bool is_request(const std::string& datagram) {
    return datagram.starts_with("\0\1"sv) || datagram.starts_with("\0\2"sv);
}

[[nodiscard]] arguments ask(transfer_direction verb, std::uint16_t port, const std::string& local) {
    arguments a;
    a.verb = verb;
    a.host = "127.0.0.1";
    a.port = port;
    a.remote = "f";
    a.local = local;
    return a;
}

[[nodiscard]] report execute_quietly(const arguments& asked) {
    static const std::atomic<int> no_signal{0};
    return execute(asked, -1, no_signal);
}

} // namespace

TEST_CASE("a download is stored under its local name", "[tftp][execute]") {
    const temporary_directory dir;
    const scripted_server server([](const std::string& datagram) {
        return is_request(datagram) ? data(1, "hello") : std::string();
    });
    const report r = execute_quietly(ask(transfer_direction::read, server.port(), dir / "f"));
    CHECK(r.code == exit_code::ok);
    CHECK(r.summary.counters.bytes == 5);
    CHECK(content_of(dir / "f") == "hello");
    CHECK(dir.entries() == 1);
}

TEST_CASE("a server's ERROR leaves the old file as it was", "[tftp][execute]") {
    const temporary_directory dir;
    write_content(dir / "f", "old");
    const scripted_server server([](const std::string&) { return error_packet(1, "nowhere"); });
    const report r = execute_quietly(ask(transfer_direction::read, server.port(), dir / "f"));
    CHECK(r.code == exit_code::not_found);
    CHECK(r.from == origin::server);
    CHECK(r.summary.peer_text == "nowhere");
    CHECK(content_of(dir / "f") == "old");
    CHECK(dir.entries() == 1);
}

TEST_CASE("an ERROR in the midst of a download leaves nothing behind", "[tftp][execute]") {
    const temporary_directory dir;
    const scripted_server server([](const std::string& datagram) {
        return is_request(datagram) ? data(1, std::string(512, 'x')) : error_packet(0, "tired");
    });
    arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
    asked.no_options = true;
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::other);
    CHECK(r.summary.counters.blocks == 1);
    CHECK(dir.entries() == 0);
}

TEST_CASE("a server that refuses options is asked without any", "[tftp][execute][rfc2347]") {
    const temporary_directory dir;
    const scripted_server server([](const std::string& datagram) {
        if (!is_request(datagram)) {
            return std::string();
        }
        return datagram.find("blksize") != std::string::npos ? error_packet(8, "no")
                                                             : data(1, "plain");
    });
    const report r = execute_quietly(ask(transfer_direction::read, server.port(), dir / "f"));
    CHECK(r.code == exit_code::ok);
    CHECK(content_of(dir / "f") == "plain");
    CHECK_THAT(summary_line(r), Catch::Contains("took no options"));
}

TEST_CASE(
    "the first ERROR is told when the plain request meets silence", "[tftp][execute][rfc2347]"
) {
    const temporary_directory dir;
    std::atomic<int> plain{0};
    const transfer_direction verb = GENERATE(transfer_direction::read, transfer_direction::write);
    write_content(dir / "f", "old");
    const scripted_server server([&plain](const std::string& datagram) {
        if (datagram.find("tsize") != std::string::npos) {
            return error_packet(8, "maintenance until noon");
        }
        ++plain;
        return std::string();
    });
    arguments asked = ask(verb, server.port(), dir / "f");
    asked.timeout = 10ms;
    asked.retries = 2;
    const report r = execute_quietly(asked);
    CHECK(plain == 2);
    CHECK(r.code == exit_code::option_refused);
    CHECK(r.from == origin::server);
    CHECK_THAT(error_line(r), Catch::Contains("maintenance until noon"));
    CHECK(content_of(dir / "f") == "old");
}

TEST_CASE("a size that no server could mean is taken as not known", "[tftp][execute][rfc2349]") {
    const temporary_directory dir;
    const std::string said = GENERATE("-1594967296"s, ""s, "big"s, "18446744073709551616"s);
    const scripted_server server([&said](const std::string& datagram) {
        return is_request(datagram) ? "\0\6tsize\0"s + said + '\0' : data(1, "hello");
    });
    const report r = execute_quietly(ask(transfer_direction::read, server.port(), dir / "f"));
    CHECK(r.code == exit_code::ok);
    CHECK(content_of(dir / "f") == "hello");
    CHECK_FALSE(r.summary.agreed.tsize);
}

TEST_CASE("a file larger than --max-size is refused and the old one stays", "[tftp][execute]") {
    const temporary_directory dir;
    write_content(dir / "f", "old");
    std::string told;
    const bool announced = GENERATE(false, true);
    {
        const scripted_server server([&](const std::string& datagram) {
            if (is_request(datagram) && announced) {
                return "\0\6tsize\0"s + "600\0"s;
            }
            if (is_request(datagram) || datagram == "\0\4\0\0"s) {
                return data(1, std::string(512, 'x'));
            }
            told = datagram;
            return std::string();
        });
        arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
        asked.max_size = announced ? 599 : 511;
        const report r = execute_quietly(asked);
        CHECK(r.summary.outcome == errc::too_large);
        CHECK(r.code == exit_code::other);
        CHECK_THAT(error_line(r), Catch::Contains("--max-size allows: nothing was stored"));
    }
    CHECK(told.starts_with("\0\5\0\3"sv));
    CHECK(content_of(dir / "f") == "old");
    CHECK(dir.entries() == 1);
}

TEST_CASE("a transfer that moves ends when --max-time says so", "[tftp][execute]") {
    const temporary_directory dir;
    write_content(dir / "f", "old");
    std::uint16_t block = 0;
    const scripted_server server([&block](const std::string&) {
        ++block;
        return "\0\3"s + static_cast<char>(block >> 8) + static_cast<char>(block & 0xff) +
               std::string(512, 'x');
    });
    arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
    asked.no_options = true;
    asked.max_time = 60ms;
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::timed_out);
    CHECK(r.summary.elapsed >= 60ms);
    CHECK(r.summary.counters.blocks > 1);
    CHECK_THAT(error_line(r), Catch::Contains("--max-time allows"));
    CHECK(content_of(dir / "f") == "old");
    CHECK(dir.entries() == 1);
}

TEST_CASE("an upload sends the file and tells its size", "[tftp][execute]") {
    const temporary_directory dir;
    write_content(dir / "f", "content");
    std::string request;
    std::string sent;
    {
        const scripted_server server([&](const std::string& datagram) {
            if (is_request(datagram)) {
                request = datagram;
                return "\0\4\0\0"s;
            }
            sent = datagram;
            return "\0\4\0\1"s;
        });
        const report r = execute_quietly(ask(transfer_direction::write, server.port(), dir / "f"));
        CHECK(r.code == exit_code::ok);
    }
    CHECK(sent == data(1, "content"));
    CHECK(request.find("tsize\0007\0"s) != std::string::npos);
    CHECK(request.starts_with("\0\2f\0octet\0"sv));
}

TEST_CASE("a silent server is given up after the last repetition", "[tftp][execute]") {
    const temporary_directory dir;
    std::atomic<int> requests{0};
    const scripted_server server([&](const std::string&) {
        ++requests;
        return std::string();
    });
    arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
    asked.timeout = 10ms;
    asked.retries = 3;
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::timed_out);
    CHECK(requests == 3);
    CHECK(r.summary.elapsed >= 70ms);
    CHECK(dir.entries() == 0);
}

TEST_CASE("a transfer that stands still ends when --give-up says so", "[tftp][execute]") {
    const temporary_directory dir;
    const scripted_server server([](const std::string& datagram) {
        return is_request(datagram) ? data(1, std::string(512, 'x')) : std::string();
    });
    arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
    asked.give_up = 50ms;
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::timed_out);
    CHECK(r.summary.elapsed >= 50ms);
    CHECK(r.summary.elapsed < 10s);
    CHECK(dir.entries() == 0);
}

TEST_CASE("a closed port is known at once", "[tftp][execute]") {
    const temporary_directory dir;
    std::uint16_t port = 0;
    {
        const scripted_server gone([](const std::string&) { return std::string(); });
        port = gone.port();
    }
    const report r = execute_quietly(ask(transfer_direction::read, port, dir / "f"));
    CHECK(r.code == exit_code::network);
    // A request that nobody refuses is repeated for 31 s.
    CHECK(r.summary.elapsed < 10s);
    CHECK(dir.entries() == 0);
}

TEST_CASE("the next address is tried when the first refuses", "[tftp][execute]") {
    test::need_host("localhost");
    const temporary_directory dir;
    const scripted_server server([](const std::string& datagram) {
        return is_request(datagram) ? data(1, "hello") : std::string();
    });
    arguments asked = ask(transfer_direction::read, server.port(), dir / "f");
    asked.host = "localhost";
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::ok);
    CHECK(r.server.family == address_family::ipv4);
}

TEST_CASE("a local file that cannot be stored is told before anything is sent", "[tftp][execute]") {
    const temporary_directory dir;
    std::atomic<int> requests{0};
    const scripted_server server([&](const std::string&) {
        ++requests;
        return std::string();
    });
    report r = execute_quietly(ask(transfer_direction::read, server.port(), dir / "missing/f"));
    CHECK(r.code == exit_code::local_file);
    r = execute_quietly(ask(transfer_direction::write, server.port(), dir / "missing"));
    CHECK(r.code == exit_code::local_file);
    CHECK(requests == 0);
}

TEST_CASE("a full device counts as local and the server is told", "[tftp][execute]") {
    std::string told;
    {
        const scripted_server server([&](const std::string& datagram) {
            if (is_request(datagram)) {
                return data(1, std::string(512, 'x'));
            }
            told = datagram;
            return std::string();
        });
        const report r = execute_quietly(ask(transfer_direction::read, server.port(), "/dev/full"));
        CHECK(r.code == exit_code::local_file);
        CHECK(r.from == origin::local);
    }
    CHECK(told.starts_with("\0\5\0\3"sv));
}

TEST_CASE("a signal ends the transfer and the server is told", "[tftp][execute]") {
    const temporary_directory dir;
    std::atomic<int> stop{0};
    std::string told;
    report r;
    {
        const scripted_server server([&](const std::string& datagram) {
            if (is_request(datagram)) {
                return data(1, std::string(512, 'x'));
            }
            if (datagram.starts_with("\0\4"sv)) {
                stop = 2;
            } else {
                told = datagram;
            }
            return std::string();
        });
        r = execute(ask(transfer_direction::read, server.port(), dir / "f"), -1, stop);
    }
    CHECK(r.summary.outcome == errc::stopped);
    CHECK(r.code == exit_code::other);
    CHECK(told.starts_with("\0\5\0\0"sv));
    CHECK(dir.entries() == 0);
}

TEST_CASE("an unknown interface is an error of the network", "[tftp][execute]") {
    arguments asked = ask(transfer_direction::read, 69, "/dev/null");
    asked.host = "fe80::1%nosuchif";
    const report r = execute_quietly(asked);
    CHECK(r.code == exit_code::network);
    CHECK_FALSE(r.unresolved.empty());
    CHECK(r.server.family == address_family::none);
}
