#include "examples/example.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tftp::test;
using namespace std::string_literals;
using Catch::Matchers::Contains;
using tftp::socket_address;
using tftp::unique_fd;

namespace {

std::string run_tool(std::vector<std::string> words) {
    command what;
    what.argv = std::move(words);
    const run_result result = run(what, example_limit);
    INFO(to_string(what) << ": " << result.errors);
    REQUIRE(result.status == 0);
    return result.output;
}

/// Gives the whole test program a network of its own, with two interfaces that a cable joins.
///
/// In it nobody else opens and closes sockets: while others do, /proc/net/tcp may lack some.
void need_private_network() {
    static const bool ready = [] {
        need(enter_private_network);
        need([] { add_link_pair("lan0", "lan1"); });
        run_tool({"ip", "link", "set", "lan1", "up"});
        return true;
    }();
    REQUIRE(ready);
}

/// Runs an example that root has started and that may do no more than anybody.
run_result run_without_privilege(std::vector<std::string> words) {
    const command program = example(std::move(words));
    command what;
    what.argv = {"setpriv", "--bounding-set", "-all", "--inh-caps", "-all"};
    what.argv.insert(what.argv.end(), program.argv.begin(), program.argv.end());
    return run(what, example_limit);
}

/// Sends frames from an interface as they are.
class frame_sender {
public:
    explicit frame_sender(const char* interface)
        : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
        to_.sll_family = AF_PACKET;
        to_.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    }

    void send(const std::string& frame) const {
        REQUIRE(
            ::sendto(
                socket_.get(),
                frame.data(),
                frame.size(),
                0,
                reinterpret_cast<const ::sockaddr*>(&to_),
                sizeof to_
            ) == static_cast<::ssize_t>(frame.size())
        );
    }

private:
    unique_fd socket_;
    ::sockaddr_ll to_{};
};

/// "192.0.2.1 is at `mac`", as an answer to nobody in particular.
std::string arp_answer(const std::string& mac) {
    return std::string(6, '\xff') + mac + "\x08\x06\0\1\x08\0\6\4\0\2"s + mac +
           "\xc0\x00\x02\x01"s + std::string(6, '\0') + "\xc0\x00\x02\x02"s;
}

/// Returns the line of `ports` for a socket with that local address; empty when there is none.
std::string line_of(const std::string& output, std::string protocol, const std::string& local) {
    protocol.resize(6, ' ');
    const auto before = output.find('\n' + protocol + local + ' ');
    if (before == std::string::npos) {
        return "";
    }
    return output.substr(before + 1, output.find('\n', before + 1) - before - 1);
}

/// A socket of this process, bound to a free port of the loopback interface.
struct own_socket {
    own_socket(const char* address, int type) {
        const socket_address free_port(tftp::parse_endpoint(address, 0).value());
        socket.reset(::socket(free_port.data()->sa_family, type | SOCK_CLOEXEC, 0));
        REQUIRE(::bind(socket.get(), free_port.data(), free_port.size()) == 0);
    }

    [[nodiscard]] std::string local() const {
        socket_address out;
        ::socklen_t size = socket_address::capacity;
        REQUIRE(::getsockname(socket.get(), out.data(), &size) == 0);
        return tftp::to_string(out.to_endpoint());
    }

    void connect(const std::string& to) const {
        const socket_address peer(tftp::parse_endpoint(to, 0).value());
        REQUIRE(::connect(socket.get(), peer.data(), peer.size()) == 0);
    }

    unique_fd socket;
};

/// A server of TCP that leaves every connection half-open: with TCP_DEFER_ACCEPT the kernel
/// overlooks the third packet of the handshake until there is something to read.
class half_open_server {
public:
    half_open_server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int seconds = 60;
        REQUIRE(
            ::setsockopt(
                listener_.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds
            ) == 0
        );
        const socket_address free_port(tftp::endpoint::ipv4(127, 0, 0, 1, 0));
        REQUIRE(::bind(listener_.get(), free_port.data(), free_port.size()) == 0);
        REQUIRE(::listen(listener_.get(), 16) == 0);
        ::socklen_t size = socket_address::capacity;
        REQUIRE(::getsockname(listener_.get(), address_.data(), &size) == 0);
    }

    void connect() {
        clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(clients_.back().get(), address_.data(), address_.size()) == 0);
    }

    /// The line of half_open_watch that begins with its address, up to the number.
    [[nodiscard]] std::string line(int count) const {
        std::string out = tftp::to_string(address_.to_endpoint());
        out.resize(29, ' ');
        return out + std::to_string(count) + " half-open";
    }

private:
    unique_fd listener_;
    socket_address address_;
    std::vector<unique_fd> clients_;
};

} // namespace

TEST_CASE("interfaces sets address and gateway of an interface", "[examples][net][private]") {
    need_private_network();
    CHECK_THAT(
        run_example({"interfaces"}).output, Contains("lan0: down, no carrier, MTU 1500, MAC ")
    );
    const run_result set = run_example(
        {"interfaces", "--set", "192.0.2.5/24", "--on", "lan0", "--gateway", "192.0.2.1"}
    );
    CHECK(set.errors.empty());
    CHECK(set.status == 0);
    CHECK_THAT(set.output, Contains("lan0: up, "));
    CHECK_THAT(set.output, Contains("lan0: 192.0.2.5/24, netmask 255.255.255.0\n"));
    CHECK_THAT(set.output, Contains("gateway 192.0.2.1 on lan0\n"));
    CHECK_THAT(run_tool({"ip", "address", "show", "lan0"}), Contains("inet 192.0.2.5/24"));
    CHECK_THAT(run_tool({"ip", "route"}), Contains("default via 192.0.2.1 dev lan0 proto static"));

    // A second time it is no error, and replaces the gateway.
    const run_result again = run_example(
        {"interfaces", "--set", "192.0.2.5/24", "--on", "lan0", "--gateway", "192.0.2.9"}
    );
    CHECK(again.status == 0);
    CHECK_THAT(again.output, Contains("gateway 192.0.2.9 on lan0\n"));
    CHECK(again.output.find("gateway 192.0.2.1 ") == std::string::npos);

    const run_result ipv6 = run_example(
        {"interfaces", "--set", "2001:db8::5/64", "--on", "lan0", "--gateway", "2001:db8::1"}
    );
    CHECK(ipv6.errors.empty());
    CHECK_THAT(ipv6.output, Contains("lan0: 2001:db8::5/64\n"));
    CHECK_THAT(ipv6.output, Contains("gateway 2001:db8::1 on lan0\n"));
}

TEST_CASE("interfaces says in one line what the kernel refuses", "[examples][net][private]") {
    need_private_network();
    const run_result far = run_example(
        {"interfaces", "--set", "198.51.100.5/24", "--on", "lan1", "--gateway", "203.0.113.1"}
    );
    CHECK(far.status == 1);
    CHECK(far.errors == "interfaces: set the gateway: Network is unreachable\n");
    const run_result refused =
        run_without_privilege({"interfaces", "--set", "192.0.2.6/24", "--on", "lan0"});
    CHECK(refused.status == 1);
    CHECK(
        refused.errors ==
        "interfaces: set the address (takes CAP_NET_ADMIN): Operation not permitted\n"
    );
}

TEST_CASE("ports names the process behind each socket", "[examples][net][private]") {
    need_private_network();
    const auto [address, tcp, udp] = GENERATE(table<std::string, std::string, std::string>(
        {{"127.0.0.1", "tcp", "udp"}, {"::1", "tcp6", "udp6"}}
    ));
    const own_socket listening(address.c_str(), SOCK_STREAM);
    REQUIRE(::listen(listening.socket.get(), 1) == 0);
    const own_socket connected(address.c_str(), SOCK_STREAM);
    connected.connect(listening.local());
    const own_socket open(address.c_str(), SOCK_DGRAM);
    const own_socket tied(address.c_str(), SOCK_DGRAM);
    tied.connect(open.local());
    std::string name = read_file("/proc/self/comm");
    name.pop_back();
    const std::string owner = std::to_string(::getpid()) + '/' + name;

    const run_result result = run_example({"ports"});
    CHECK(result.status == 0);
    const std::string& all = result.output;
    INFO(all);
    const std::string listener = line_of(all, tcp, listening.local());
    CHECK_THAT(listener, Contains(" * ") && Contains(" LISTEN ") && Catch::EndsWith(owner));
    const std::string client = line_of(all, tcp, connected.local());
    CHECK_THAT(client, Contains(' ' + listening.local() + ' ') && Contains(" ESTABLISHED "));
    CHECK_THAT(client, Catch::EndsWith(owner));
    const std::string open_line = line_of(all, udp, open.local());
    CHECK_THAT(open_line, Contains(" * ") && Contains(" open ") && Catch::EndsWith(owner));
    const std::string tied_line = line_of(all, udp, tied.local());
    CHECK_THAT(tied_line, Contains(' ' + open.local() + ' ') && Contains(" connected "));

    const std::string few = run_example({"ports", "--listening"}).output;
    CHECK_FALSE(line_of(few, tcp, listening.local()).empty());
    CHECK_FALSE(line_of(few, udp, open.local()).empty());
    CHECK(line_of(few, tcp, connected.local()).empty());
    CHECK(line_of(few, udp, tied.local()).empty());
}

TEST_CASE(
    "half_open_watch sees half-open connections of this machine", "[examples][attacks][private]"
) {
    need_private_network();
    half_open_server server;
    for (int i = 0; i < 3; ++i) {
        server.connect();
    }
    const run_result result = run_example({"half_open_watch", "--threshold", "3"});
    CHECK(result.status == 0);
    CHECK_THAT(result.output, Catch::StartsWith("SYN cookies o"));
    CHECK_THAT(result.output, Contains(server.line(3) + ", warning: a flood?\n"));
    const run_result calm = run_example({"half_open_watch", "--threshold", "4"});
    CHECK_THAT(calm.output, Contains(server.line(3) + "\n"));
}

TEST_CASE("half_open_watch looks again until it is stopped", "[examples][attacks][private]") {
    need_private_network();
    half_open_server server;
    child_process watch(example({"half_open_watch", "--interval", "1"}));
    CHECK(watch.wait_for_line(server.line(0), example_limit));
    server.connect();
    CHECK(watch.wait_for_line(server.line(1), example_limit));
    watch.send_signal(SIGINT);
    CHECK(watch.wait(example_limit) == 0);
    CHECK(watch.errors().empty());
}

TEST_CASE("arp_watch says what it lacks", "[examples][net][private]") {
    need_private_network();
    const run_result refused = run_without_privilege({"arp_watch", "--interface", "lo"});
    CHECK(refused.status == 1);
    CHECK(refused.errors == "arp_watch: socket (takes CAP_NET_RAW): Operation not permitted\n");
}

TEST_CASE("arp_watch sees a forger on the wire", "[examples][net][private]") {
    need_private_network();
    run_tool({"ip", "link", "set", "lan0", "up"});
    child_process watch(example({"arp_watch", "--interface", "lan0"}));
    REQUIRE(watch.wait_for_line("watching lan0", example_limit));
    const frame_sender neighbour("lan1");
    neighbour.send(arp_answer("\x02\x00\x00\x00\x00\x01"s));
    CHECK(watch.wait_for_line("192.0.2.1 is at 02:00:00:00:00:01", example_limit));
    neighbour.send(arp_answer("\x02\x00\x00\x00\x00\x66"s));
    CHECK(watch.wait_for_line(
        "CONFLICT: 192.0.2.1 is at 02:00:00:00:00:66; before at 02:00:00:00:00:01", example_limit
    ));
    watch.send_signal(SIGINT);
    CHECK(watch.wait(example_limit) == 0);
    CHECK_THAT(watch.output(), Catch::EndsWith(", conflicts: 1\n"));
}
