#include "examples/example.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr auto limit = example_limit;

::sockaddr_in loopback(std::uint8_t last_octet, std::uint16_t port) {
    ::sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(0x7f000000U + last_octet);
    return out;
}

/// A TCP socket of 127.0.0.1, or of 127.0.0.N, that a test drives by hand.
class raw_socket {
public:
    explicit raw_socket(int fd) : fd_(fd) { REQUIRE(fd_ >= 0); }

    explicit raw_socket(std::uint8_t last_octet = 1)
        : raw_socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const ::sockaddr_in own = loopback(last_octet, 0);
        REQUIRE(::bind(fd_, reinterpret_cast<const ::sockaddr*>(&own), sizeof own) == 0);
    }

    ~raw_socket() { ::close(fd_); }

    raw_socket(const raw_socket&) = delete;
    raw_socket& operator=(const raw_socket&) = delete;

    [[nodiscard]] int fd() const { return fd_; }

    [[nodiscard]] std::string address() const {
        ::sockaddr_in own{};
        ::socklen_t size = sizeof own;
        REQUIRE(::getsockname(fd_, reinterpret_cast<::sockaddr*>(&own), &size) == 0);
        return "127.0.0." + std::to_string(ntohl(own.sin_addr.s_addr) & 0xff) + ':' +
               std::to_string(ntohs(own.sin_port));
    }

    void connect(const running_server& server) const {
        const auto port = static_cast<std::uint16_t>(std::stoul(server.port));
        const ::sockaddr_in to = loopback(1, port);
        REQUIRE(::connect(fd_, reinterpret_cast<const ::sockaddr*>(&to), sizeof to) == 0);
    }

    void send(std::string_view octets) const {
        REQUIRE(
            ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL) ==
            static_cast<::ssize_t>(octets.size())
        );
    }

    /// Bytes that have come and were not received yet.
    [[nodiscard]] int waiting() const {
        int count = -1;
        REQUIRE(::ioctl(fd_, FIONREAD, &count) == 0);
        return count;
    }

    void end() const { REQUIRE(::shutdown(fd_, SHUT_WR) == 0); }

    /// Returns what comes until there are `count` bytes, or to the end of the stream.
    [[nodiscard]] std::string receive(std::size_t count = std::string::npos) const {
        std::string all;
        while (all.size() < count) {
            ::pollfd waiting{fd_, POLLIN, 0};
            REQUIRE(
                ::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(limit).count())) == 1
            );
            std::array<char, 4096> octets{};
            const auto came = ::recv(fd_, octets.data(), std::min(octets.size(), count), 0);
            if (came <= 0) {
                break;
            }
            all.append(octets.data(), static_cast<std::size_t>(came));
        }
        return all;
    }

private:
    int fd_;
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Where each of `parts` begins behind the one before it; the test fails where one does not.
void check_in_order(const std::string& text, const std::vector<std::string>& parts) {
    std::size_t at = 0;
    for (const std::string& part : parts) {
        INFO(text << "\nwithout: " << part);
        at = text.find(part, at);
        REQUIRE(at != std::string::npos);
        at += part.size();
    }
}

/// All that tcp_client printed as received.
std::string received(const std::string& output) {
    static const std::regex line("received [0-9]+ bytes: (.*)");
    std::string all;
    for (std::sregex_iterator i(output.begin(), output.end(), line), end; i != end; ++i) {
        all += (*i)[1];
    }
    return all;
}

double number(const std::string& text, const std::string& pattern) {
    std::smatch found;
    INFO(text << "\nwithout: " << pattern);
    REQUIRE(std::regex_search(text, found, std::regex(pattern)));
    return std::stod(found[1]);
}

void stop_cleanly(running_server& server, int signal_number) {
    server.process.send_signal(signal_number);
    CHECK(server.process.wait(limit) == 0);
    CHECK(server.process.output().ends_with("ended\n"));
    CHECK(server.process.errors().empty());
}

/// Where the system allows no namespace or no TUN device, one line says so, and that is all.
bool is_refused(const run_result& ended) {
    const bool named =
        contains(ended.errors, "not permitted") || contains(ended.errors, "/dev/net/tun");
    if (ended.status != 1 || !named) {
        return false;
    }
    CHECK(std::count(ended.errors.begin(), ended.errors.end(), '\n') == 1);
    skip_part(ended.errors.substr(0, ended.errors.find('\n')));
    return true;
}

} // namespace

TEST_CASE("every TCP example explains itself", "[examples]") {
    check_explains_itself("tcp_client");
    check_explains_itself("tcp_server");
    check_explains_itself("connection_lifetime");
    check_explains_itself("idle_reaper");
    check_explains_itself("listen_backlog");
    check_explains_itself("tcp_states");
    check_explains_itself("time_wait");
    check_explains_itself("ttl");
}

TEST_CASE("TCP examples refuse values that make no sense", "[examples]") {
    check_refuses({"tcp_client", "nowhere", "x"}, "not 'nowhere'");
    check_refuses({"tcp_client", "127.0.0.1", "x"}, "lacks the port");
    check_refuses({"tcp_client", "127.0.0.1:1"}, "TEXT is missing");
    check_refuses({"tcp_server", "127.0.0.1:99999"}, "not '127.0.0.1:99999'");
    check_refuses({"tcp_server"}, "ADDRESS:PORT is missing");
    check_refuses({"connection_lifetime", "--requests", "0"}, "not '0'");
    check_refuses({"idle_reaper", "::1:x"}, "not '::1:x'");
    for (const char* const idle : {"0", "-1", "nan", "1e9", "1s", ""}) {
        check_refuses({"idle_reaper", "127.0.0.1:0", "--idle", idle}, "--idle is a number");
    }
    check_refuses({"idle_reaper", "127.0.0.1:0", "--per-client", "0"}, "not '0'");
    check_refuses({"listen_backlog", "--backlog", "-1"}, "not '-1'");
    check_refuses({"listen_backlog", "--connections", "0"}, "not '0'");
    check_refuses({"listen_backlog", "--accept", "many"}, "not 'many'");
    check_refuses({"tcp_states", "x"}, "one word too many");
    check_refuses({"time_wait", "x"}, "one word too many");
    check_refuses({"ttl", "--hops", "255"}, "not '255'");
}

TEST_CASE("tcp_client and tcp_server exchange lines", "[examples]") {
    running_server server({"tcp_server", "127.0.0.1:0"});
    const run_result ended = run_example({"tcp_client", server.address, "one", "two"});
    INFO(ended.output << ended.errors);
    CHECK(ended.status == 0);
    CHECK(received(ended.output) == "one\\ntwo\\n");
    check_in_order(ended.output, {"connected 127.0.0.1:", " to " + server.address, "end sent\n"});
    CHECK(ended.output.ends_with("end received\n"));
    const auto left = server.process.wait_for_line(" left: ", limit);
    REQUIRE(left);
    CHECK(left->ends_with(" left: 8 bytes in, 8 out"));
    stop_cleanly(server, SIGINT);
}

TEST_CASE("tcp_server answers lines, one client after another", "[examples]") {
    running_server server({"tcp_server", "127.0.0.1:0"});
    auto first = std::make_unique<raw_socket>();
    first->connect(server);
    const raw_socket second;
    second.connect(server);
    second.send("second\n");
    // A line in two parts comes back whole, and no sooner.
    first->send("one\ntw");
    CHECK(first->receive(4) == "one\n");
    CHECK(first->waiting() == 0);
    first->send("o\n");
    CHECK(first->receive(4) == "two\n");
    CHECK_FALSE(contains(server.process.output(), second.address() + " connected"));
    first.reset();
    CHECK(second.receive(7) == "second\n");
    second.send("without an end");
    second.end();
    CHECK(second.receive() == "without an end");
    const raw_socket third;
    third.connect(server);
    third.send(std::string(65'537, 'x'));
    CHECK(third.receive().empty());
    CHECK(server.process.wait_for_line("a line is too long", limit));
    const raw_socket last;
    last.connect(server);
    CHECK(server.process.wait_for_line(last.address() + " connected", limit));
    stop_cleanly(server, SIGTERM);
}

TEST_CASE("tcp_client reads on after its half-close", "[examples]") {
    const raw_socket listener;
    child_process refused(example({"tcp_client", listener.address(), "x"}));
    CHECK(refused.wait(limit) == 1);
    CHECK(refused.errors() == "tcp_client: connect: Connection refused\n");

    REQUIRE(::listen(listener.fd(), 1) == 0);
    child_process client(example({"tcp_client", listener.address(), "one", "two"}));
    const raw_socket accepted(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    CHECK(accepted.receive() == "one\ntwo\n");
    accepted.send("late \x1b[2J\n");
    accepted.end();
    CHECK(client.wait(limit) == 0);
    CHECK(received(client.output()) == "late ?[2J\\n");
    check_in_order(client.output(), {"end sent\n", "received ", "end received\n"});
}

TEST_CASE("connection_lifetime shows what a connection costs", "[examples]") {
    const run_result ended = run_example({"connection_lifetime", "--requests", "50"});
    INFO(ended.output << ended.errors);
    CHECK(ended.status == 0);
    check_in_order(ended.output, {"short: connections 50, ", " us\n", "long : connections 1, "});
    const double lots = number(ended.output, "short: .* took ([0-9.]+) segments");
    const double few = number(ended.output, "long : .* took ([0-9.]+) segments");
    // Three to open, two or three to close, and the request and its answer.
    CHECK(lots >= 7);
    CHECK(few >= 2);
    CHECK(few < lots / 2);
}

TEST_CASE("idle_reaper closes who says nothing", "[examples]") {
    running_server server({"idle_reaper", "127.0.0.1:0", "--idle", "1"});
    const raw_socket idle;
    idle.connect(server);
    const raw_socket busy;
    busy.connect(server);
    const auto begin = std::chrono::steady_clock::now();
    const std::string closed = idle.address() + " closed: idle for ";
    std::optional<std::string> line;
    while (!line && std::chrono::steady_clock::now() < begin + limit) {
        busy.send("tick\n");
        REQUIRE(busy.receive(5) == "tick\n");
        line = server.process.wait_for_line(closed, 20ms);
    }
    REQUIRE(line);
    CHECK(number(*line, "idle for ([0-9.]+) s") >= 1);
    CHECK(idle.receive().empty());
    busy.send("tock\n");
    CHECK(busy.receive(5) == "tock\n");
    CHECK(busy.receive().empty()); // its turn
    CHECK(server.process.wait_for_line(busy.address() + " closed: idle for ", limit));
    stop_cleanly(server, SIGINT);
}

TEST_CASE("idle_reaper counts the connections of an address", "[examples]") {
    running_server server({"idle_reaper", "127.0.0.1:0", "--per-client", "2"});
    const raw_socket first;
    first.connect(server);
    auto second = std::make_unique<raw_socket>();
    second->connect(server);
    const std::string name = second->address();
    REQUIRE(server.process.wait_for_line(name + " connected", limit));
    const raw_socket third;
    third.connect(server);
    CHECK(third.receive().empty());
    const auto line = server.process.wait_for_line(third.address() + " refused", limit);
    REQUIRE(line);
    CHECK(line->ends_with("refused: its address has 2 connections"));
    // Neither another address nor a place that is free again is refused.
    const raw_socket other(std::uint8_t{2});
    other.connect(server);
    other.send("x");
    CHECK(other.receive(1) == "x");
    second.reset();
    REQUIRE(server.process.wait_for_line(name + " left", limit));
    const raw_socket again;
    again.connect(server);
    again.send("y");
    CHECK(again.receive(1) == "y");
    stop_cleanly(server, SIGTERM);
}

TEST_CASE("listen_backlog finds one more than the number", "[examples]") {
    const run_result ended =
        run_example({"listen_backlog", "--backlog", "3", "--connections", "8", "--accept", "2"});
    INFO(ended.output << ended.errors);
    CHECK(ended.status == 0);
    check_in_order(
        ended.output,
        {"listen(3), net.core.somaxconn is ",
         "  clients: 4 ESTABLISHED, 4 SYN-SENT\n",
         "  server: accept queue 4, limit 3; SYN-RECEIVED 0; dropped ",
         "accepted 2\n",
         "  server: accept queue 4, limit 3; SYN-RECEIVED "}
    );
    CHECK(number(ended.output, "dropped ([0-9]+)\n") >= 4);
    // Two more fit; what is established beyond that has no place at the server.
    const std::string after = ended.output.substr(ended.output.find("accepted 2"));
    const double established = number(after, "clients: ([0-9]+) ESTABLISHED");
    CHECK(established >= 6);
    CHECK(number(after, "SYN-RECEIVED ([0-9]+)") == established - 6);

    const run_result roomy =
        run_example({"listen_backlog", "--backlog", "5", "--connections", "6", "--accept", "9"});
    INFO(roomy.output << roomy.errors);
    CHECK(roomy.status == 0);
    check_in_order(
        roomy.output,
        {"clients: 6 ESTABLISHED, 0 SYN-SENT\n", "accept queue 6, ", "accepted 6\n", "queue 0, "}
    );
}

TEST_CASE("tcp_states shows every state", "[examples]") {
    const run_result ended = run_example({"tcp_states"});
    if (is_refused(ended)) {
        return;
    }
    INFO(ended.output << ended.errors);
    CHECK(ended.status == 0);
    const std::vector<std::string> connects{
        "socket(), bind()",
        " CLOSED\n",
        "connect(): SYN goes out",
        " SYN-SENT\n",
        "SYN ACK comes, ACK goes out",
        " ESTABLISHED\n",
        "shutdown(): FIN goes out",
        " FIN-WAIT-1\n"};
    auto first = connects;
    first.insert(first.end(), {"its ACK comes", " FIN-WAIT-2\n", "FIN comes", " TIME-WAIT\n"});
    check_in_order(ended.output, first);
    check_in_order(
        ended.output,
        {"listen()",
         " LISTEN\n",
         "SYN comes, SYN ACK goes out",
         " SYN-RECEIVED\n",
         "its ACK comes",
         " ESTABLISHED\n",
         "FIN comes, ACK goes out",
         " CLOSE-WAIT\n",
         "close(): FIN goes out",
         " LAST-ACK\n",
         "its ACK comes",
         " CLOSED\n"}
    );
    auto third = connects;
    third.insert(third.begin(), "both close at once");
    third.insert(
        third.end(), {"FIN comes", " CLOSING\n", "the ACK of its own FIN", " TIME-WAIT\n"}
    );
    check_in_order(ended.output, third);
    // Each step has its line, and nothing stands between.
    CHECK(std::count(ended.output.begin(), ended.output.end(), '\n') == 21);
}

TEST_CASE("time_wait shows who keeps the port", "[examples]") {
    const run_result ended = run_example({"time_wait"});
    INFO(ended.output << ended.errors);
    CHECK(ended.status == 0);
    check_in_order(
        ended.output,
        {"the server closes first, the old server without SO_REUSEADDR\n",
         "TIME-WAIT is at the server, ",
         " 06 ",
         " without SO_REUSEADDR: EADDRINUSE\n",
         " with SO_REUSEADDR: EADDRINUSE\n",
         "the server closes first, the old server with SO_REUSEADDR\n",
         "TIME-WAIT is at the server, ",
         " without SO_REUSEADDR: EADDRINUSE\n",
         " with SO_REUSEADDR: works\n",
         "the client closes first, the old server without SO_REUSEADDR\n",
         "TIME-WAIT is at the client, ",
         " without SO_REUSEADDR: works\n",
         " with SO_REUSEADDR: works\n"}
    );
    const double left = number(ended.output, "server, ([0-9.]+) s left");
    CHECK(left > 50);
    CHECK(left <= 61);
}

TEST_CASE("ttl shows what routers leave of it", "[examples]") {
    const run_result alone = run_example({"ttl"});
    INFO(alone.output << alone.errors);
    CHECK(alone.status == 0);
    CHECK(
        alone.output == "sent with TTL 1, received with TTL 1\n"
                        "sent with TTL 64, received with TTL 64\n"
                        "sent with TTL 255, received with TTL 255\n"
    );
    const run_result routed = run_example({"ttl", "--hops", "2"});
    if (is_refused(routed)) {
        return;
    }
    INFO(routed.errors);
    CHECK(routed.status == 0);
    CHECK(
        routed.output == "sent with TTL 1, ICMP type 11 code 0 from 10.0.1.1: No route to host\n"
                         "sent with TTL 2, ICMP type 11 code 0 from 10.0.2.1: No route to host\n"
                         "sent with TTL 3, received with TTL 1\n"
    );
}
