// Shows: what an address and its mask mean. A mask is a row of ones and then zeros; all the rest
// is AND and OR on bytes, the same for 32 bits (IPv4) and 128 (IPv6).
//
// Run:     ipcalc 192.168.1.77/26 192.168.1.130; ipcalc 10.1.2.3/255.255.0.0; ipcalc fe80::1/64
// Observe: the two addresses are not on one subnet: 77 & 192 is 64, 130 & 192 is 128.

#include "common/program.hpp"
#include "net/ranges.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

/// In network order; IPv4 uses the first four bytes, the others are zero.
using octets = std::array<std::uint8_t, 16>;

struct ip_address {
    int family = AF_UNSPEC;
    octets value{};

    [[nodiscard]] unsigned bits() const noexcept { return family == AF_INET ? 32 : 128; }

    [[nodiscard]] std::string text() const {
        std::array<char, INET6_ADDRSTRLEN> out{};
        ::inet_ntop(family, value.data(), out.data(), out.size());
        return out.data();
    }
};

std::optional<ip_address> parse_address(const std::string& text) {
    ip_address out;
    for (const int family : {AF_INET, AF_INET6}) {
        if (::inet_pton(family, text.c_str(), out.value.data()) == 1) {
            out.family = family;
            return out;
        }
    }
    return std::nullopt;
}

octets mask_of(unsigned prefix) {
    octets out{};
    for (unsigned bit = 0; bit < prefix; ++bit) {
        out[bit / 8] = static_cast<std::uint8_t>(out[bit / 8] | (0x80U >> (bit % 8)));
    }
    return out;
}

/// Returns the address with the bits behind the prefix all zero.
ip_address network_of(ip_address address, unsigned prefix) {
    const octets mask = mask_of(prefix);
    for (std::size_t i = 0; i < mask.size(); ++i) {
        address.value[i] &= mask[i];
    }
    return address;
}

/// Returns the address with the bits behind the prefix all one.
ip_address last_of(ip_address address, unsigned prefix) {
    const octets mask = mask_of(prefix);
    for (std::size_t i = 0; i < address.bits() / 8; ++i) {
        address.value[i] = static_cast<std::uint8_t>(address.value[i] | ~mask[i]);
    }
    return address;
}

bool same_subnet(const ip_address& a, const ip_address& b, unsigned prefix) {
    return a.family == b.family && network_of(a, prefix).value == network_of(b, prefix).value;
}

/// Reads "26" or "255.255.255.192".
unsigned parse_prefix(const std::string& text, const ip_address& address) {
    unsigned prefix = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, prefix);
    if (error == std::errc() && stop == end && prefix <= address.bits()) {
        return prefix;
    }
    const auto mask = parse_address(text);
    if (!mask || mask->family != address.family) {
        throw example::usage_error(
            "'" + text + "' is neither a prefix of 0 to " + std::to_string(address.bits()) +
            " nor a netmask"
        );
    }
    for (prefix = 0; prefix < mask->bits(); ++prefix) {
        if ((mask->value[prefix / 8] & (0x80U >> (prefix % 8))) == 0) {
            break;
        }
    }
    // A one behind a zero: the two do not agree.
    if (mask_of(prefix) != mask->value) {
        throw example::usage_error("the netmask " + text + " is not ones, then zeros");
    }
    return prefix;
}

std::string kind_of(const ip_address& address) {
    const auto holds = [&](const example::special_range& each) {
        const auto first = parse_address(each.first);
        return first && same_subnet(*first, address, each.prefix);
    };
    // Never the end: the ranges of prefix 0 hold all.
    return std::find_if(example::special_ranges.begin(), example::special_ranges.end(), holds)
        ->what;
}

void print(const char* name, const std::string& value) {
    std::cout << std::left << std::setw(10) << name << value << '\n';
}

void print_ipv4(const ip_address& address, unsigned prefix) {
    ip_address first = network_of(address, prefix);
    ip_address last = last_of(address, prefix);
    std::uint64_t hosts = std::uint64_t{1} << (32 - prefix);
    if (prefix < 31) {
        print("broadcast", last.text());
        // The lowest address names the network and the highest all its hosts: neither is a host.
        first.value[3] |= 1;
        last.value[3] ^= 1;
        hosts -= 2;
    } else {
        print("broadcast", prefix == 31 ? "none, both are hosts (RFC 3021)" : "none, one host");
    }
    print("hosts", first.text() + " to " + last.text() + ", " + std::to_string(hosts));
    const std::uint8_t top = address.value[0];
    // Before masks (1993) the first bits said how long the network is.
    print("class", top < 128 ? "A" : top < 192 ? "B" : top < 224 ? "C" : top < 240 ? "D" : "E");
}

int body(const example::arguments& given) {
    const std::string& text = given.text("ADDRESS/MASK");
    const auto slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    if (!address || slash == std::string::npos) {
        throw example::usage_error("'" + text + "' is no ADDRESS/PREFIX or ADDRESS/NETMASK");
    }
    const unsigned prefix = parse_prefix(text.substr(slash + 1), *address);
    const auto other = parse_address(given.text("OTHER"));
    if (given.given("OTHER") && (!other || other->family != address->family)) {
        throw example::usage_error("'" + given.text("OTHER") + "' is no address of that kind");
    }
    print("address", address->text());
    print("kind", kind_of(*address));
    print(
        "netmask",
        ip_address{address->family, mask_of(prefix)}.text() + ", /" + std::to_string(prefix)
    );
    const ip_address network = network_of(*address, prefix);
    print("network", network.text() + "/" + std::to_string(prefix));
    if (address->family == AF_INET) {
        print_ipv4(*address, prefix);
    } else {
        // No broadcast in IPv6: all of them are hosts (the first also means any router there).
        print("hosts", network.text() + " to " + last_of(*address, prefix).text());
        print("count", "2^" + std::to_string(128 - prefix));
    }
    if (other) {
        const bool same = same_subnet(*address, *other, prefix);
        print(
            "other",
            other->text() + (same ? ": same subnet, spoken to directly"
                                  : ": not the same subnet, through a router")
        );
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Says what an address and its mask mean.",
        {{"ADDRESS/MASK", "the address, and its prefix or netmask: 10.0.0.1/8"},
         {"OTHER", "says whether this one is on the same subnet", ""}},
        body
    );
}
