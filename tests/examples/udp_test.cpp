#include "examples/example.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <string>
#include <string_view>

using namespace tftp::test;
using namespace std::string_literals;

namespace {

constexpr auto limit = example_limit;

std::string name_of(const udp_client& socket) {
    return tftp::to_string(socket.local());
}

tftp::endpoint at(const running_server& server) {
    return tftp::parse_endpoint(server.address, 0).value();
}

} // namespace

TEST_CASE("every UDP example explains itself", "[examples]") {
    check_explains_itself(GENERATE(
        as<std::string>(),
        "udp_sender",
        "udp_receiver",
        "udp_ports",
        "udp_echo",
        "udp_multicast",
        "udp_layers"
    ));
}

TEST_CASE("the UDP examples refuse what makes no sense", "[examples]") {
    check_refuses({"udp_sender", "nonsense", "word"});
    check_refuses({"udp_sender", "127.0.0.1", "word"});
    check_refuses({"udp_sender", "127.0.0.1:9"});
    check_refuses({"udp_receiver", "nonsense"});
    check_refuses({"udp_receiver", "--count", "0"});
    check_refuses({"udp_receiver", "--count", "many"});
    check_refuses({"udp_ports", "--port", "65536"});
    check_refuses({"udp_ports", "--times", "0"});
    check_refuses({"udp_echo", "127.0.0.1:0", "word"});
    check_refuses({"udp_echo", "localhost"});
    check_refuses({"udp_multicast", "shout"});
    check_refuses({"udp_multicast", "send", "--group", "[::1]:4069"});
    check_refuses({"udp_multicast", "send", "--group", "239.255.0.69:0"});
    check_refuses({"udp_multicast", "receive", "--interface", "no-such"});
    check_refuses({"udp_multicast", "send", "--ttl", "256"});
    check_refuses({"udp_layers", "two", "words"});
}

TEST_CASE("udp_sender makes each word a datagram, all from one port", "[examples]") {
    udp_client receiver;
    const auto ended = run_example({"udp_sender", name_of(receiver), "one", "", "three"});
    CHECK(ended.status == 0);
    CHECK(ended.errors.empty());
    std::string report;
    std::uint16_t port = 0;
    for (const std::string word : {"one", "", "three"}) {
        const auto came = receiver.receive();
        REQUIRE(came);
        CHECK(text(came->octets) == word);
        CHECK((port == 0 || port == came->from.port));
        port = came->from.port;
        report += std::to_string(word.size()) + " bytes from port " + std::to_string(port) +
                  " to " + name_of(receiver) + '\n';
    }
    CHECK(ended.output == report);
}

TEST_CASE("udp_sender does not learn that nobody listens", "[examples]") {
    // Bound to learn a port, and closed again.
    const std::string nobody = name_of(udp_client());
    CHECK(run_example({"udp_sender", nobody, "one", "two", "three"}).status == 0);
}

TEST_CASE("udp_sender says that a datagram is too long", "[examples]") {
    const udp_client receiver;
    const auto ended = run_example({"udp_sender", name_of(receiver), std::string(65508, 'x')});
    CHECK(ended.status == 1);
    CHECK(ended.errors == "udp_sender: sendto: Message too long\n");
}

TEST_CASE("udp_receiver prints who sent what, and ends by Ctrl-C", "[examples]") {
    running_server receiver({"udp_receiver"});
    udp_client one;
    udp_client other;
    one.send(at(receiver), octets("hello"));
    CHECK(receiver.process.wait_for_line(name_of(one) + ": 5 bytes: hello", limit));
    // Empty ones are datagrams as well, and nothing reaches the terminal that could harm it.
    other.send(at(receiver), {});
    other.send(at(receiver), octets("\x1b[2J\xff\n"));
    REQUIRE(receiver.process.wait_for_line(name_of(other) + ": 6 bytes: ?[2J??", limit));
    CHECK(receiver.process.wait_for_line(name_of(other) + ": 0 bytes: ", limit));
    receiver.process.send_signal(SIGINT);
    CHECK(receiver.process.wait(limit) == 0);
    CHECK(receiver.process.errors().empty());
}

TEST_CASE("udp_receiver ends after as many datagrams as it was told", "[examples]") {
    running_server receiver({"udp_receiver", "127.0.0.1", "--count", "2"});
    const auto sent = run_example({"udp_sender", receiver.address, "one", "two"});
    CHECK(sent.status == 0);
    CHECK(receiver.process.wait(limit) == 0);
    CHECK(receiver.process.output().find(": 3 bytes: one\n") != std::string::npos);
    CHECK(receiver.process.output().ends_with(": 3 bytes: two\n"));
}

TEST_CASE("udp_echo returns what came, and counts", "[examples]") {
    running_server server({"udp_echo"});
    udp_client one;
    udp_client other;
    const auto returns = [&](udp_client& client, const std::string& message) {
        client.send(at(server), octets(message));
        const auto came = client.receive();
        REQUIRE(came);
        CHECK(came->from == at(server));
        CHECK((text(came->octets) == message));
    };
    returns(one, "hello");
    returns(other, "\0\xff\n"s);
    returns(one, "");
    returns(other, std::string(65507, 'x'));
    CHECK(server.process.wait_for_line(name_of(other) + ": 3 bytes returned", limit));
    server.process.send_signal(SIGTERM);
    CHECK(server.process.wait(limit) == 0);
    CHECK(server.process.output().ends_with("\n4 datagrams, 65515 bytes\n"));
}
