#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

using namespace tftp::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::Matches;

namespace {

const std::string stamp = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d )";
const std::string time_and_rate = R"( \d+\.\d{3} s (\d+\.\d\d MiB/s|-) )";

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream input(text);
    for (std::string line; std::getline(input, line, '\n');) {
        lines.push_back(line);
    }
    return lines;
}

std::size_t line_count(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Whether a text is nothing but printable ASCII.
bool is_clean(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// A pipe that is read only when the test says so.
class slow_log {
public:
    slow_log() { REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0); }

    ~slow_log() {
        for (const int end : ends_) {
            ::close(end);
        }
    }

    slow_log(const slow_log&) = delete;
    slow_log& operator=(const slow_log&) = delete;

    [[nodiscard]] int write_end() const noexcept { return ends_[1]; }

    /// Reads until the text so far contains `part`. Fails the test when nothing more comes.
    [[nodiscard]] const std::string& read_until(std::string_view part) {
        while (text_.find(part) == std::string::npos) {
            REQUIRE(read_some(daemon_limit));
        }
        return text_;
    }

    /// Reads what there is.
    void drain() {
        while (read_some(0ms)) {
        }
    }

private:
    [[nodiscard]] bool read_some(std::chrono::milliseconds limit) {
        ::pollfd ready{ends_[0], POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) {
            return false;
        }
        std::array<char, 4096> some;
        const ssize_t got = ::read(ends_[0], some.data(), some.size());
        text_.append(some.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        return got > 0;
    }

    std::array<int, 2> ends_{};
    std::string text_;
};

} // namespace

TEST_CASE("one line tells all of a transfer", "[system][tftpd][log]") {
    daemon_process daemon({"--writable", "create"});
    write_file(daemon.root() / "file", std::string(3000, 'x'));
    udp_client client;
    const std::string from = tftp::to_string(client.local());

    const option_pairs options = {{"blksize", "1000"}, {"windowsize", "2"}, {"timeout", "60"}};
    const arrived answer = ask(client, daemon.server(), rrq("file", options));
    client.send(answer.from, ack(0));
    for (int block = 1; block <= 2; ++block) {
        REQUIRE(opcode_of(next(client)) == 3);
    }
    client.send(answer.from, ack(2));
    for (int block = 3; block <= 4; ++block) {
        REQUIRE(opcode_of(next(client)) == 3);
    }
    client.send(answer.from, ack(4));
    CHECK_THAT(
        daemon.line("read \"file\""),
        Matches(
            stamp + from + " read \"file\" 3000 bytes" + time_and_rate +
            "blksize 1000 windowsize 2 retransmitted 0 ok"
        )
    );

    const arrived ready = ask(client, daemon.server(), wrq("upload", {{"timeout", "60"}}));
    CHECK(store_rest(client, ready.from, std::string(600, 'x')).octets == ack(2));
    CHECK_THAT(
        daemon.line("write \"upload\""),
        Matches(
            stamp + from + " write \"upload\" 600 bytes" + time_and_rate +
            "blksize 512 windowsize 1 retransmitted 0 ok"
        )
    );
    CHECK(fetch(daemon.server(), "file").size() == 3000);
    const std::string all = daemon.process().errors();
    CHECK(std::count(all.begin(), all.end(), '\n') >= 3);
}

TEST_CASE("a refused request has its line too", "[system][tftpd][log]") {
    daemon_process daemon;
    udp_client client;
    static_cast<void>(ask(client, daemon.server(), rrq("missing")));
    CHECK_THAT(
        daemon.line("\"missing\""),
        Matches(
            stamp + tftp::to_string(client.local()) +
            " read \"missing\" 0 bytes 0\\.000 s - blksize 512 windowsize 1 retransmitted 0 No "
            "such "
            "file or directory"
        )
    );
    static_cast<void>(ask(client, daemon.server(), wrq("new", {}, "mail")));
    CHECK_THAT(daemon.line("mode is neither"), Contains(" write \"\" 0 bytes"));
}

TEST_CASE("what clients send cannot break a log line", "[system][tftpd][log]") {
    daemon_process daemon;
    udp_client client;
    static_cast<void>(ask(client, daemon.server(), rrq("a\n\x1b[31m\"b\"\\\xff\x7f")));
    CHECK_THAT(daemon.line("\"a"), Contains(R"( read "a\x0a\x1b[31m\"b\"\\\xff\x7f" 0 bytes)"));

    write_file(daemon.root() / "file", "content");
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    client.send(answer.from, error_packet(0, "why\r\nnot \x9b"));
    CHECK_THAT(daemon.line("\"file\""), EndsWith(R"( client: error 0 "why\x0d\x0anot \x9b")"));
}

TEST_CASE("the log and ERROR texts hold nothing that peers shape", "[system][tftpd][log]") {
    daemon_process daemon({"--writable", "create", "--verbose"});
    const std::string path = daemon.root().string();
    std::vector<std::string> names = {
        "\x1b]0;title\x07",
        "\x1b[2J\x1b[H",
        "\r\n2026-01-01T00:00:00.000+00:00 forged",
        "%n%s%1$*d",
        "{}{0}{:>999999999}",
        "\xc3\xa4\xe2\x80\xae",
        "\xc0\xaf..\xff\xfe",
        "\x9b"
        "31m",
        "\" ok \\",
        "../../etc/passwd",
        std::string(1000, '\x01'),
        path,
        path + "/file"};
    std::string all_octets;
    for (int octet = 1; octet < 256; ++octet) {
        all_octets += static_cast<char>(octet);
    }
    names.push_back(all_octets);
    const std::size_t before = line_count(daemon.process().errors());
    std::size_t requests = 0;
    udp_client client;
    const auto check_answer = [&](const datagram& request) {
        const arrived answer = ask(client, daemon.server(), request);
        const std::string words = text(answer.octets);
        if (answer.octets[1] != std::byte{5}) {
            // The path of the directory in front is left out, so one of the uploads begins.
            client.send(answer.from, error_packet(0, "enough"));
        }
        CHECK(is_clean(words.substr(4, words.size() - 5)));
        CHECK_THAT(words, !Contains("/") && !Contains(daemon.root().filename().string()));
        ++requests;
    };
    for (const std::string& name : names) {
        INFO(name);
        check_answer(rrq(name));
        check_answer(rrq("file", {}, name));
        check_answer(wrq(name + "/file", {{name, name}}));
    }
    write_file(daemon.root() / "file", "content");
    for (const std::string& words : names) {
        const arrived answer = ask(client, daemon.server(), rrq("file"));
        client.send(answer.from, error_packet(0, words));
        ++requests;
        static_cast<void>(ask(client, daemon.server(), rrq("missing")));
        ++requests;
    }
    static_cast<void>(ask(client, daemon.server(), rrq("the-last")));
    static_cast<void>(daemon.line("\"the-last\""));

    const std::string log = daemon.process().errors();
    CHECK(line_count(log) == before + requests + 1);
    for (const std::string& line : lines_of(log)) {
        INFO(line);
        CHECK(is_clean(line));
        // What a client says is another matter: it stands in quotes, as it was sent.
        const std::string own = line.substr(0, line.find('"')) + line.substr(line.rfind('"') + 1);
        CHECK_THAT(own, !Contains(path));
    }
}

TEST_CASE("a client that never sends its last ACK is told apart", "[system][tftpd][log]") {
    daemon_process daemon({"--give-up", "1"});
    write_file(daemon.root() / "file", std::string(600, 'x'));
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file", {{"timeout", "1"}}));
    REQUIRE(opcode_of(ask(client, answer.from, ack(0))) == 3);
    REQUIRE(opcode_of(ask(client, answer.from, ack(1))) == 3);
    CHECK_THAT(
        daemon.line("\"file\""), EndsWith("timed out: all was sent, the last ACK never came")
    );
}

TEST_CASE("a log that nobody reads does not end the service", "[system][tftpd][log]") {
    // The reader ends after the line that names the port, so every later one meets a broken pipe.
    const std::string line = "\"$0\" \"$@\" 2>&1 | sed '/serving/q' >&2";
    daemon_process daemon({}, {"127.0.0.1:0"}, {"sh", "-c", line});
    write_file(daemon.root() / "file", "content");
    for (int i = 0; i < 5; ++i) {
        CHECK(fetch(daemon.server(), "file") == "content");
        CHECK(daemon.serves());
    }
}

TEST_CASE("a log that is full delays neither service nor end", "[system][tftpd][log]") {
    const temp_dir root;
    write_file(root.path() / "file", "content");
    slow_log log;
    command what = command_of({tftpd_program()});
    for (const auto& each :
         {daemon_options(), {"--threads", "2", "--listen", "127.0.0.1:0", root.path().string()}}) {
        what.argv.insert(what.argv.end(), each.begin(), each.end());
    }
    what.stderr_fd = log.write_end();
    child_process process(what);
    const std::string& started = log.read_until(" on 127.0.0.1:");
    const std::string address = started.substr(started.rfind(' ') + 1);
    const auto serving = tftp::parse_endpoint(address.substr(0, address.find('\n')), 0);
    REQUIRE(serving.has_value());

    // A pipe holds 64 KiB.
    udp_client client;
    for (int line = 0; line < 300; ++line) {
        REQUIRE(error_code_of(ask(client, *serving, rrq(std::string(250, 'x')))) == 1);
    }
    CHECK(fetch(*serving, "file") == "content");

    SECTION("it ends when told to") {
        process.send_signal(SIGTERM);
        CHECK(process.wait(daemon_limit) == 0);
    }
    SECTION("the reader is told of its losses when it comes back") {
        log.drain();
        CHECK(error_code_of(ask(client, *serving, rrq("missing"))) == 1);
        CHECK_THAT(
            log.read_until("\"missing\""),
            Contains(" lines lost: the log took no more\n") && !Contains("x\n")
        );
    }
}
