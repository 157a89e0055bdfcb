// Shows: names to addresses and back. Without --server as every program does it: getaddrinfo and
// getnameinfo look where the system says (/etc/hosts, then DNS). With --server one question of DNS
// is one datagram, and it is the program that repeats what was lost.
//
// Run:     resolve localhost; resolve 127.0.0.1; resolve --server 192.0.2.53 www.example.org
// Observe: tcpdump -n udp port 53 beside the last one: two questions (A and AAAA), two answers.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "net/dns.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

namespace {

namespace dns = example::dns;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using tftp::socket_address;

void print(const std::string& name, const std::string& type, const std::string& value) {
    std::cout << name << ' ' << type << ' ' << value << '\n';
}

[[noreturn]] void fail(const std::string& what, int error) {
    throw std::runtime_error(what + ": " + ::gai_strerror(error));
}

void name_to_addresses(const std::string& name) {
    ::addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    // One type of socket, or each address comes once for every type there is.
    wanted.ai_socktype = SOCK_DGRAM;
    ::addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(name.c_str(), nullptr, &wanted, &list); error != 0) {
        fail(name, error);
    }
    const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
    for (const ::addrinfo* each = list; each != nullptr; each = each->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        // NI_NUMERICHOST: figures, no question.
        const int error = ::getnameinfo(
            each->ai_addr, each->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST
        );
        if (error != 0) {
            fail(name, error);
        }
        print(name, each->ai_family == AF_INET ? "A" : "AAAA", text.data());
    }
}

void address_to_name(const tftp::endpoint& address) {
    const socket_address raw(address);
    std::array<char, NI_MAXHOST> name{};
    // Without NI_NAMEREQD it gives figures when there is no name.
    const int error =
        ::getnameinfo(raw.data(), raw.size(), name.data(), name.size(), nullptr, 0, NI_NAMEREQD);
    const std::string text = tftp::address_to_string(address);
    if (error != 0) {
        fail(text, error);
    }
    print(text, "PTR", name.data());
}

/// Waits until there is something to receive; false when the time is over first.
bool wait_readable(int socket, steady_clock::time_point until) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    ::pollfd wait{socket, POLLIN, 0};
    const auto patience = static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
    return example::check(::poll(&wait, 1, patience), "poll") > 0;
}

dns::reply ask(const tftp::endpoint& server, const dns::message& query, milliseconds patience) {
    const socket_address to(server);
    const auto socket = example::open_socket(to.data()->sa_family, SOCK_DGRAM);
    // A UDP socket that is connected gets a port of its own, from which on the kernel drops what
    // does not come from the server's address and port, and tells when nobody is there (ICMP).
    example::check(::connect(socket.get(), to.data(), to.size()), "connect");
    constexpr int attempts_max = 3;
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        example::check(::send(socket.get(), query.data(), query.size(), 0), "send");
        const auto until = steady_clock::now() + patience;
        while (wait_readable(socket.get(), until)) {
            dns::message datagram(NS_MAXMSG);
            const auto size =
                example::check(::recv(socket.get(), datagram.data(), datagram.size(), 0), "recv");
            datagram.resize(static_cast<std::size_t>(size));
            const std::string wrong = dns::mismatch(query, datagram);
            if (wrong.empty()) {
                return dns::parse(datagram);
            }
            std::cerr << "ignored: a datagram that " << wrong << '\n';
        }
    }
    throw std::runtime_error(tftp::to_string(server) + " does not answer");
}

/// Asks for one type, and prints what came; returns how many records.
std::size_t
look_up(const tftp::endpoint& server, const std::string& name, int type, milliseconds patience) {
    const dns::reply reply = ask(server, dns::make_query(name, type), patience);
    if (reply.code != ns_r_noerror) {
        throw std::runtime_error(name + ": " + dns::code_name(reply.code));
    }
    for (const dns::record& each : reply.records) {
        print(each.name, each.type, each.value);
    }
    if (reply.truncated) {
        std::cout << "truncated: there is more, for those who ask by TCP\n";
    }
    return reply.records.size();
}

int body(const example::arguments& given) {
    const std::string& name = given.text("NAME");
    const auto address = tftp::parse_endpoint(name, 0);
    const milliseconds patience(given.number("--timeout", 1, 60'000));
    if (!given.given("--server")) {
        if (address) {
            address_to_name(*address);
        } else {
            name_to_addresses(name);
        }
        return 0;
    }
    const tftp::endpoint server = given.address("--server", NS_DEFAULTPORT);
    std::size_t found = 0;
    if (address) {
        found = look_up(server, dns::reverse_name(*address), ns_t_ptr, patience);
    } else {
        found = look_up(server, name, ns_t_a, patience);
        found += look_up(server, name, ns_t_aaaa, patience);
    }
    if (found == 0) {
        throw std::runtime_error(name + ": the name is known, but nothing of that kind");
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Looks up the addresses of a name, or the name of an address.",
        {{"NAME", "a name, or an address in figures"},
         {"--server", "ADDRESS[:PORT] of the DNS server to ask, not the system's way", ""},
         {"--timeout", "milliseconds until the server is asked again, three times", "2000"}},
        body
    );
}
