#include "examples/example.hpp"
#include "support/network.hpp"
#include "support/process.hpp"

#include <tftp/io/unique_fd.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

using namespace tftp::test;
using namespace std::string_literals;
using Catch::Matchers::Contains;
using tftp::io::unique_fd;

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
void need_private_network() {
    static const bool ready = [] {
        try {
            enter_private_network();
        } catch (const std::system_error& refused) {
            std::cout << "skipped: no network of its own: " << refused.what() << std::endl;
            std::exit(77);
        }
        run_tool({"ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"});
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
    CHECK_THAT(watch.output(), Catch::EndsWith(" 1 conflicts\n"));
}
