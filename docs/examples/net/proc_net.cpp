#include "proc_net.hpp"

#include <charconv>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <tuple>

namespace example {

namespace {

/// Throws std::runtime_error unless all of `text` is one number.
template <class Number>
Number parse(std::string_view text, int base) {
    Number out = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, out, base);
    if (error != std::errc() || stop != end) {
        throw std::runtime_error("'" + std::string(text.substr(0, 40)) + "' is no number");
    }
    return out;
}

/// Reads "0100007F:0045": the address as one 32-bit word, or four, in the octet order of the
/// machine, so that 127.0.0.1 looks turned around on most; the port as a plain number.
tftp::endpoint parse_address(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon != 8 && colon != 32) {
        throw std::runtime_error("a line holds no address");
    }
    tftp::endpoint out;
    out.family = colon == 8 ? tftp::address_family::ipv4 : tftp::address_family::ipv6;
    for (std::size_t digit = 0; digit < colon; digit += 8) {
        const auto word = parse<std::uint32_t>(text.substr(digit, 8), 16);
        std::memcpy(out.address.data() + digit / 2, &word, sizeof word);
    }
    out.port = parse<std::uint16_t>(text.substr(colon + 1), 16);
    return out;
}

} // namespace

std::vector<socket_entry> read_socket_table(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line) || line.find("local_address") == std::string::npos) {
        throw std::runtime_error(path + " is no table of sockets");
    }
    std::vector<socket_entry> out;
    std::set<std::tuple<std::string, std::string, std::string>> seen;
    while (std::getline(file, line)) {
        // The number, the two addresses, the state, three columns of queues and timers, the user,
        // its timeout, the inode.
        std::istringstream words(line);
        std::string number;
        std::string local;
        std::string peer;
        std::string state;
        std::string skipped;
        std::string inode;
        words >> number >> local >> peer >> state >> skipped >> skipped >> skipped >> skipped >>
            skipped >> inode;
        // The system's is no snapshot: it comes a page at a time, and while sockets come and go one
        // may stand in it twice (or not at all).
        if (!seen.emplace(local, peer, inode).second) {
            continue;
        }
        out.push_back(
            {parse_address(local),
             parse_address(peer),
             parse<unsigned>(state, 16),
             parse<std::uint64_t>(inode, 10)}
        );
    }
    return out;
}

} // namespace example
