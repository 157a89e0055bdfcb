// Shows: ARP spoofing as the network sees it. ARP has no proof: whoever answers first is believed,
// so who wants the traffic of the gateway says "192.0.2.1 is at MY address". A watcher that
// remembers what was claimed before sees one IP address with two MAC addresses.
//
// Run:     arp_watch --interface eth0 (as root), or arp_watch --file recorded.pcap; record with
//          tcpdump -i eth0 -w recorded.pcap arp
// Observe: a line for each address at first, then silence. CONFLICT is an attack, a mistake (one
//          address given twice), or a pair of machines of which one takes over from the other.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"
#include "net/pcap.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

namespace {

using frame_view = std::span<const std::uint8_t>;
using mac_address = std::array<std::uint8_t, 6>;
using ip_address = std::array<std::uint8_t, 4>;

/// What an ARP packet says of who sent it.
struct claim {
    ip_address ip{};
    mac_address mac{};
    /// "Gratuitous": asks for its own address, to tell all of it.
    bool announced = false;
};

/// Reads an Ethernet frame: to (6), from (6), EtherType (2), then ARP (RFC 826): the two kinds of
/// address (2 + 2), their sizes (1 + 1), operation (2), MAC and IP of the sender, and of the
/// target.
std::optional<claim> read_claim(frame_view frame) {
    constexpr std::size_t arp_start = 14;
    constexpr std::size_t arp_size = 28;
    constexpr std::array<std::uint8_t, 8> ipv4_on_ethernet{0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4};
    if (frame.size() < arp_start + arp_size ||
        !std::equal(ipv4_on_ethernet.begin(), ipv4_on_ethernet.end(), frame.begin() + 12)) {
        return std::nullopt;
    }
    const frame_view arp = frame.subspan(arp_start, arp_size);
    claim out;
    std::copy_n(arp.begin() + 8, out.mac.size(), out.mac.begin());
    std::copy_n(arp.begin() + 14, out.ip.size(), out.ip.begin());
    out.announced = std::equal(out.ip.begin(), out.ip.end(), arp.begin() + 24);
    return out;
}

std::string to_text(const mac_address& mac) {
    std::array<char, 18> out{};
    std::snprintf(
        out.data(),
        out.size(),
        "%02x:%02x:%02x:%02x:%02x:%02x",
        mac[0],
        mac[1],
        mac[2],
        mac[3],
        mac[4],
        mac[5]
    );
    return out.data();
}

std::string to_text(const ip_address& ip) {
    std::array<char, INET_ADDRSTRLEN> out{};
    ::inet_ntop(AF_INET, ip.data(), out.data(), out.size());
    return out.data();
}

class watch {
public:
    void on_frame(frame_view frame) {
        const auto said = read_claim(frame);
        if (!said) {
            return;
        }
        ++packets_;
        // From 0.0.0.0: asks whether an address is free, and claims none (RFC 5227).
        if (said->ip == ip_address{}) {
            return;
        }
        // Forgers can make up addresses without end.
        constexpr std::size_t addresses_max = 65'536;
        constexpr std::size_t macs_max = 16;
        if (known_.size() == addresses_max && known_.find(said->ip) == known_.end()) {
            return;
        }
        auto& macs = known_[said->ip];
        if (std::find(macs.begin(), macs.end(), said->mac) != macs.end() ||
            macs.size() == macs_max) {
            return;
        }
        if (macs.empty()) {
            std::cout << to_text(said->ip) << " is at " << to_text(said->mac) << std::endl;
        } else {
            ++conflicts_;
            std::cout << "CONFLICT: " << to_text(said->ip) << " is at " << to_text(said->mac)
                      << (said->announced ? ", announced to all" : "") << "; before at "
                      << to_text(macs.back()) << std::endl;
        }
        macs.push_back(said->mac);
    }

    void summary() const {
        std::cout << "ARP packets: " << packets_ << ", addresses: " << known_.size()
                  << ", conflicts: " << conflicts_ << '\n';
    }

private:
    std::map<ip_address, std::vector<mac_address>> known_;
    std::uint64_t packets_ = 0;
    std::uint64_t conflicts_ = 0;
};

void watch_interface(const std::string& name, watch& watcher) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) {
        throw example::usage_error("--interface: there is no '" + name + "'");
    }
    const example::stop_signal stop;
    // Protocol 0: nothing comes before bind says from which interface, and of ARP only. Every
    // frame is given to us as well as to the kernel's own ARP: we only look.
    const example::unique_fd socket(example::check(
        ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket (takes CAP_NET_RAW)"
    ));
    ::sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ARP);
    where.sll_ifindex = static_cast<int>(index);
    example::check(
        ::bind(socket.get(), reinterpret_cast<const ::sockaddr*>(&where), sizeof where), "bind"
    );
    std::cout << "watching " << name << std::endl;
    for (;;) {
        std::array<::pollfd, 2> wait{
            ::pollfd{socket.get(), POLLIN, 0}, ::pollfd{stop.fd(), POLLIN, 0}};
        ::poll(wait.data(), wait.size(), -1);
        if (stop.asked()) {
            return;
        }
        if (wait[0].revents == 0) {
            continue; // another signal
        }
        std::array<std::uint8_t, ETH_FRAME_LEN> frame{};
        const auto size =
            example::check(::recv(socket.get(), frame.data(), frame.size(), 0), "recv");
        watcher.on_frame(frame_view(frame).first(static_cast<std::size_t>(size)));
    }
}

int body(const example::arguments& given) {
    if (given.given("--interface") == given.given("--file")) {
        throw example::usage_error("one of --interface and --file is needed");
    }
    watch watcher;
    if (given.given("--file")) {
        example::read_recording(given.text("--file"), [&](frame_view frame) {
            watcher.on_frame(frame);
        });
    } else {
        watch_interface(given.text("--interface"), watcher);
    }
    watcher.summary();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Reports one IP address that two MAC addresses claim.",
        {{"--interface", "the interface to watch", ""},
         {"--file", "a recording (pcap), not an interface", ""}},
        body
    );
}
