// The UDP examples that need a network of their own: ports that nobody else takes, groups that
// nobody else joins, a second interface, and the right to capture.

#include "examples/example.hpp"
#include "support/network.hpp"
#include "support/skip.hpp"
#include "support/udp_client.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <future>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <linux/capability.h>
#include <sys/prctl.h>

using namespace tftp::test;

namespace {

constexpr auto limit = example_limit;

void run_ip(std::vector<std::string> words) {
    words.insert(words.begin(), "ip");
    command what;
    what.argv = std::move(words);
    const run_result result = run(what, limit);
    INFO(to_string(what) << ": " << result.errors);
    REQUIRE(result.status == 0);
}

/// Gives the whole test program a network with a loopback interface and lan0, 192.0.2.1.
void need_private_network() {
    static const bool ready = [] {
        need(enter_private_network);
        need([] { add_link_pair("lan0", "lan1"); });
        run_ip({"address", "add", "192.0.2.1/24", "dev", "lan0"});
        run_ip({"link", "set", "lan1", "up"});
        run_ip({"link", "set", "lan0", "up"});
        return true;
    }();
    REQUIRE(ready);
}

/// A receiver of udp_multicast, and what it is told to receive.
struct member : running_server {
    explicit member(const std::string& group, const std::string& interface = "lo")
        : running_server({"udp_multicast", "receive", "--group", group, "--interface", interface}) {
    }

    bool gets(const std::string& line) { return process.wait_for_line(line, limit).has_value(); }
};

/// Sends `text` to `group` and returns what the program says.
std::string
send(const std::string& text, const std::string& group, std::vector<std::string> options = {}) {
    std::vector<std::string> words{"udp_multicast", "send", text, "--group", group};
    words.insert(words.end(), options.begin(), options.end());
    const run_result ended = run_example(words);
    INFO(ended.errors);
    CHECK(ended.status == 0);
    return ended.output;
}

/// The lines of udp_ports that begin with "  new: ".
struct port_line {
    std::string before;
    std::string after;
    std::string seen;
};

std::vector<port_line> port_lines(const std::string& output) {
    std::vector<port_line> all;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        const std::string between[] = {"  new: ", ", sent from ", ", the other side sees "};
        if (line.starts_with(between[0])) {
            const std::size_t first = between[0].size();
            const std::size_t second = line.find(between[1]);
            const std::size_t third = line.find(between[2]);
            REQUIRE(third != std::string::npos);
            all.push_back(
                {line.substr(first, second - first),
                 line.substr(second + between[1].size(), third - second - between[1].size()),
                 line.substr(third + between[2].size())}
            );
        }
    }
    return all;
}

std::string port_of(const std::string& address) {
    return address.substr(address.rfind(':') + 1);
}

} // namespace

TEST_CASE("a group's datagram reaches all who joined it", "[examples][network]") {
    need_private_network();
    member one("239.255.0.69:0");
    member other(one.address);
    CHECK(send("hello", one.address) == "sent to " + one.address + "\n");
    CHECK(one.gets(", ttl 1: hello"));
    CHECK(other.gets(", ttl 1: hello"));
    send("far\x1b", one.address, {"--ttl", "7"});
    CHECK(one.gets(", ttl 7: far?"));
    one.process.send_signal(SIGINT);
    CHECK(one.process.wait(limit) == 0);
    CHECK(one.process.errors().empty());
}

TEST_CASE("a group is joined and sent to on one interface", "[examples][network]") {
    need_private_network();
    member here("239.255.0.69:0");
    member there(here.address, "lan0");
    send("over lan0", here.address, {"--interface", "lan0"});
    send("over lo", here.address);
    send("over lan0 again", here.address, {"--interface", "lan0"});
    CHECK(here.gets(": over lo"));
    CHECK(there.gets("over lan0 again"));
    CHECK(there.gets("192.0.2.1:"));
    CHECK(here.process.output().find("over lan0") == std::string::npos);
    CHECK(there.process.output().find("over lo") == std::string::npos);
}

TEST_CASE("a sender may keep its datagrams from its own host", "[examples][network]") {
    need_private_network();
    member listener("239.255.0.69:0", "lan0");
    send("unheard", listener.address, {"--interface", "lan0", "--no-loop"});
    send("audible", listener.address, {"--interface", "lan0"});
    CHECK(listener.gets("audible"));
    CHECK(listener.process.output().find("unheard") == std::string::npos);
}

TEST_CASE("a broadcast is refused until the socket says that it is meant", "[examples][network]") {
    need_private_network();
    const std::string address = GENERATE(as<std::string>(), "127.255.255.255:0", "192.0.2.255:0");
    member one(address);
    member other(one.address);
    CHECK(
        send("everybody", one.address) ==
        "without SO_BROADCAST: Permission denied\nsent to " + one.address + "\n"
    );
    CHECK(one.gets(": everybody"));
    CHECK(other.gets(": everybody"));
    one.process.send_signal(SIGTERM);
    CHECK(one.process.wait(limit) == 0);
}

TEST_CASE("udp_multicast tells an address that is neither", "[examples][network]") {
    need_private_network();
    const auto ended = run_example({"udp_multicast", "send", "--group", "127.0.0.1:4069"});
    CHECK(ended.status == 1);
    CHECK(ended.errors == "udp_multicast: 127.0.0.1:4069 is no broadcast address here\n");
}

TEST_CASE("udp_ports shows a port that the system chooses at the first send", "[examples]") {
    need_private_network();
    const auto ended = run_example({"udp_ports", "--times", "5"});
    REQUIRE(ended.status == 0);
    const auto lines = port_lines(ended.output);
    REQUIRE(lines.size() == 10);
    std::set<std::string> left;
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(lines[i].before == "0.0.0.0:0");
        CHECK(lines[i].after == "0.0.0.0:" + port_of(lines[i].seen));
        CHECK(lines[i].seen.starts_with("127.0.0.1:"));
        left.insert(lines[i].seen);
    }
    // Five draws of one of 28,000.
    CHECK(left.size() > 1);
    for (std::size_t i = 5; i < 10; ++i) {
        CHECK(lines[i].before == lines[4].seen);
        CHECK(lines[i].after == lines[4].seen);
        CHECK(lines[i].seen == lines[4].seen);
    }
}

TEST_CASE("udp_ports binds the port that it is told", "[examples]") {
    need_private_network();
    const auto ended = run_example({"udp_ports", "--port", "4069"});
    REQUIRE(ended.status == 0);
    const auto lines = port_lines(ended.output);
    REQUIRE(lines.size() == 4);
    CHECK(lines[2].seen == "127.0.0.1:4069");
    CHECK(lines[3].seen == "127.0.0.1:4069");

    const udp_client owner(tftp::endpoint::ipv4(127, 0, 0, 1, 4069));
    const auto refused = run_example({"udp_ports", "--port", "4069"});
    CHECK(refused.status == 1);
    CHECK(refused.errors == "udp_ports: bind: Address already in use\n");
}

TEST_CASE("udp_layers takes a captured datagram apart", "[examples][network]") {
    need_private_network();
    const auto ended = run_example({"udp_layers", "hello"});
    INFO(ended.errors << ended.output);
    REQUIRE(ended.status == 0);
    const auto says = [&](const std::string& text) {
        INFO(text);
        CHECK(ended.output.find(text) != std::string::npos);
    };
    says("Ethernet header, 14 bytes\n  00 00 00 00 00 00 00 00 00 00 00 00 08 00\n");
    says("IPv4 header, 20 bytes\n  45 00 00 21 ");
    says("total length 33");
    says("time to live 64, protocol 17 (UDP)");
    says(", right\n  from 127.0.0.1 to 127.0.0.1\n");
    says("  length 13 = 8 and the payload\n");
    says("payload, 5 bytes\n  68 65 6c 6c 6f\n  \"hello\"\n5 bytes of 47 are the message\n");
    CHECK(ended.output.find("wrong") == std::string::npos);

    // The ports in figures are those in the bytes.
    const std::string begin = "UDP header, 8 bytes\n  ";
    const std::size_t header = ended.output.find(begin);
    REQUIRE(header != std::string::npos);
    const std::string octets = ended.output.substr(header + begin.size(), 8 * 3 - 1);
    const auto word = [&](std::size_t at) {
        return std::to_string(
            std::stoi(octets.substr(at, 2) + octets.substr(at + 3, 2), nullptr, 16)
        );
    };
    says("  from port " + word(0) + " to port " + word(6) + "\n");
}

TEST_CASE("udp_layers says what it lacks", "[examples][network]") {
    need_private_network();
    // Privileges belong to a thread: the others keep theirs.
    auto without = std::async(std::launch::async, [] {
        return ::prctl(PR_CAPBSET_DROP, CAP_NET_RAW) == 0 ? run_example({"udp_layers"})
                                                          : run_result();
    });
    const run_result ended = without.get();
    CHECK(ended.status == 1);
    CHECK(ended.errors == "udp_layers: capturing needs CAP_NET_RAW: run it with sudo\n");
    CHECK(ended.output.empty());
}
