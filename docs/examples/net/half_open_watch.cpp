// Shows: a SYN flood as the machine under it sees it. Who sends SYN and never the third packet of
// the handshake leaves a half-open connection (SYN-RECEIVED) behind, and a listener keeps only so
// many. With SYN cookies nothing need be kept: the answer holds, signed, what would have been.
//
// Run:     half_open_watch --interval 2; beside it any server of TCP
// Observe: hardly ever more than one or two in peace. Many that stay are a flood, or a peer whose
//          third packet is lost on the way.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"
#include "net/proc_net.hpp"

#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <poll.h>

namespace {

using example::socket_entry;

struct listener {
    tftp::endpoint address;
    std::uint64_t half_open = 0;
};

std::vector<socket_entry> read_system() {
    auto out = example::read_socket_table("/proc/net/tcp");
    if (std::filesystem::exists("/proc/net/tcp6")) {
        const auto more = example::read_socket_table("/proc/net/tcp6");
        out.insert(out.end(), more.begin(), more.end());
    }
    return out;
}

/// Returns how well a listener fits an address that a SYN was sent to; 0: not at all. The listener
/// of just that address comes first, as in the kernel, then those of all addresses; [::] takes
/// IPv4 as well.
int fit(const tftp::endpoint& listening, const tftp::endpoint& local) {
    if (listening == local) {
        return 3;
    }
    const tftp::endpoint all;
    if (listening.port != local.port || listening.address != all.address) {
        return 0;
    }
    if (listening.family == local.family) {
        return 2;
    }
    return listening.family == tftp::address_family::ipv6 ? 1 : 0;
}

/// Returns each listener and how many handshakes with it are under way.
std::vector<listener> count_half_open(const std::vector<socket_entry>& sockets) {
    std::vector<listener> out;
    for (const socket_entry& each : sockets) {
        if (each.state == example::tcp_listen) {
            out.push_back({each.local});
        }
    }
    for (const socket_entry& each : sockets) {
        if (each.state != example::tcp_syn_received) {
            continue;
        }
        const auto worse = [&](const listener& a, const listener& b) {
            return fit(a.address, each.local) < fit(b.address, each.local);
        };
        const auto best = std::max_element(out.begin(), out.end(), worse);
        if (best != out.end() && fit(best->address, each.local) > 0) {
            ++best->half_open;
        }
    }
    return out;
}

std::string cookies() {
    std::ifstream file("/proc/sys/net/ipv4/tcp_syncookies");
    std::string value;
    std::getline(file, value);
    if (value == "0") {
        return "off: a full queue turns honest clients away";
    }
    return value == "1" ? "on, when a queue is full" : value == "2" ? "on, always" : "not known";
}

void report(const example::arguments& given) {
    const std::uint64_t threshold = given.number("--threshold", 1, 1'000'000);
    const auto sockets =
        given.given("--table") ? example::read_socket_table(given.text("--table")) : read_system();
    if (!given.given("--table")) {
        std::cout << "SYN cookies " << cookies() << '\n';
    }
    for (const listener& each : count_half_open(sockets)) {
        std::cout << std::left << std::setw(28) << tftp::to_string(each.address) << ' '
                  << each.half_open << " half-open"
                  << (each.half_open >= threshold ? ", warning: a flood?" : "") << '\n';
    }
    std::cout << std::flush;
}

int body(const example::arguments& given) {
    constexpr std::uint64_t day_seconds = 86'400;
    const auto interval = static_cast<int>(given.number("--interval", 0, day_seconds));
    const example::stop_signal stop;
    report(given);
    while (interval != 0) {
        ::pollfd wait{stop.fd(), POLLIN, 0};
        // The signal interrupts poll, or made fd readable before.
        if (::poll(&wait, 1, interval * 1000) != 0 && stop.asked()) {
            break;
        }
        report(given);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Counts the half-open connections of each listener.",
        {{"--table", "a recorded copy of /proc/net/tcp, not the system's", ""},
         {"--threshold", "from how many on it warns", "100"},
         {"--interval", "seconds until it looks again; 0: once", "0"}},
        body
    );
}
