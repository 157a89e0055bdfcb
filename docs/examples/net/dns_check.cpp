// Shows: forged DNS answers as the one who asks sees them. A datagram counts as the answer only if
// it comes from the address and port that was asked, to the port that asked, with the ID and the
// question: the same idea as the TID of TFTP (RFC 1350 s. 4). And two servers asked for the same
// should agree.
//
// Run:     dns_check www.example.org 192.0.2.53 198.51.100.53
// Observe: replies that do not match mean that somebody guesses. Answers that differ may be honest
//          (a site with servers in many places), or one of the two lies.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "net/dns.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>

#include <arpa/nameser.h>
#include <poll.h>
#include <sys/socket.h>

namespace {

namespace dns = example::dns;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using tftp::to_string;

struct answer {
    /// One line for the outcome and one for each record, without TTL: caches count it down.
    std::set<std::string> lines;
    unsigned ignored = 0;
};

answer read(const tftp::endpoint& server, const dns::message& datagram) {
    const dns::reply reply = dns::parse(datagram);
    answer out;
    std::cout << to_string(server) << ": " << dns::code_name(reply.code) << '\n';
    out.lines.insert(dns::code_name(reply.code));
    for (const dns::record& each : reply.records) {
        const std::string line = each.type + ' ' + each.value;
        std::cout << to_string(server) << ": " << line << '\n';
        out.lines.insert(line);
    }
    return out;
}

answer ask(const tftp::endpoint& server, const std::string& name, int type, milliseconds patience) {
    // A new socket and a new ID for each question: a forger has to guess 16 bits of ID and nearly
    // as many of port. Not connected, so that we see what the kernel would drop in silence.
    const example::socket_address to(server);
    const auto socket = example::open_socket(to.data()->sa_family, SOCK_DGRAM);
    const dns::message query = dns::make_query(name, type);
    example::check(
        ::sendto(socket.get(), query.data(), query.size(), 0, to.data(), to.size()), "sendto"
    );
    // It was sendto that gave the socket a port, a random one.
    std::cout << to_string(server) << ": asked from port " << example::local_address(socket).port
              << " with ID " << dns::id_of(query) << std::endl;

    unsigned ignored = 0;
    const auto until = steady_clock::now() + patience;
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
        ::pollfd wait{socket.get(), POLLIN, 0};
        const auto wait_ms = static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
        if (example::check(::poll(&wait, 1, wait_ms), "poll") == 0 || left.count() <= 0) {
            throw std::runtime_error(
                to_string(server) + " does not answer; ignored: " + std::to_string(ignored)
            );
        }
        dns::message datagram(NS_MAXMSG);
        example::socket_address raw;
        ::socklen_t raw_size = example::socket_address::capacity;
        const auto size = example::check(
            ::recvfrom(socket.get(), datagram.data(), datagram.size(), 0, raw.data(), &raw_size),
            "recvfrom"
        );
        datagram.resize(static_cast<std::size_t>(size));
        const tftp::endpoint from = raw.to_endpoint();
        const std::string wrong = from == server ? dns::mismatch(query, datagram) : "was not asked";
        if (wrong.empty()) {
            answer out = read(server, datagram);
            out.ignored = ignored;
            return out;
        }
        ++ignored;
        std::cout << to_string(server) << ": ignored, from " << to_string(from) << ": "
                  << (from == server ? "it " : "that one ") << wrong << '\n';
    }
}

/// Prints what only the first of the two says; returns whether that is anything.
bool print_missing(const tftp::endpoint& server, const answer& one, const answer& other) {
    std::set<std::string> lines;
    std::set_difference(
        one.lines.begin(),
        one.lines.end(),
        other.lines.begin(),
        other.lines.end(),
        std::inserter(lines, lines.end())
    );
    for (const std::string& line : lines) {
        std::cout << "only " << to_string(server) << " says " << line << '\n';
    }
    return !lines.empty();
}

int body(const example::arguments& given) {
    const auto a = given.address("SERVER", NS_DEFAULTPORT);
    const auto b = given.address("OTHER-SERVER", NS_DEFAULTPORT);
    const milliseconds patience(given.number("--timeout", 1, 60'000));
    const std::string& type = given.one_of("--type", {"A", "AAAA"});
    const int number = type == "A" ? ns_t_a : ns_t_aaaa;
    const answer one = ask(a, given.text("NAME"), number, patience);
    const answer other = ask(b, given.text("NAME"), number, patience);
    if (const unsigned ignored = one.ignored + other.ignored; ignored != 0) {
        std::cout << "warning: " << ignored << " replies did not match: somebody guesses\n";
    }
    const bool more = print_missing(a, one, other);
    const bool less = print_missing(b, other, one);
    std::cout << (more || less ? "different\n" : "the same\n");
    return more || less ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Asks two DNS servers the same, and says what does not fit; status 1 when they differ.",
        {{"NAME", "the name to ask for"},
         {"SERVER", "ADDRESS[:PORT] of a DNS server"},
         {"OTHER-SERVER", "ADDRESS[:PORT] of another, or of the same"},
         {"--type", "A or AAAA", "A"},
         {"--timeout", "milliseconds to wait for each answer", "2000"}},
        body
    );
}
