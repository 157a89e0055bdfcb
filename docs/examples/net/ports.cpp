// Shows: which program holds which port. The kernel keeps its sockets in four tables of text under
// /proc/net; the number of a socket (its inode) is found again among the descriptors of a process.
//
// Run:     ports --listening, and as root; beside it tftpd, or nc -l 9000
// Observe: the same list as from ss -an. Processes of others show only to root; a connection in
//          TIME-WAIT belongs to nobody any more.

#include "common/program.hpp"
#include "common/tcp_state.hpp"
#include "common/text.hpp"
#include "net/proc_net.hpp"

#include <tftp/socket/socket_address.hpp>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

namespace {

namespace fs = std::filesystem;

/// Returns the number in "socket:[4711]", 0 for any other text.
std::uint64_t socket_inode(const std::string& link) {
    constexpr std::string_view start = "socket:[";
    std::uint64_t out = 0;
    if (link.starts_with(start)) {
        std::from_chars(link.data() + start.size(), link.data() + link.size(), out);
    }
    return out;
}

/// Returns "PID/name" for the inode of each socket of each process that lets us look.
std::map<std::uint64_t, std::string> find_owners() {
    std::map<std::uint64_t, std::string> out;
    for (const auto& process : fs::directory_iterator("/proc")) {
        const std::string id = process.path().filename();
        if (id.find_first_not_of("0123456789") != std::string::npos) {
            continue;
        }
        // Processes of others say no, and any may end while we read: both are no error here.
        std::error_code refused;
        fs::directory_iterator descriptor(process.path() / "fd", refused);
        for (; !refused && descriptor != fs::directory_iterator(); descriptor.increment(refused)) {
            std::error_code closed;
            const std::uint64_t inode =
                socket_inode(fs::read_symlink(descriptor->path(), closed).string());
            if (inode != 0) {
                std::string name;
                std::ifstream file(process.path() / "comm");
                std::getline(file, name);
                // A process may call itself what it likes.
                out[inode] = id + '/' + example::printable(name);
            }
        }
    }
    return out;
}

void print_row(
    const std::string& protocol,
    const std::string& local,
    const std::string& peer,
    const std::string& state,
    const std::string& process
) {
    std::cout << std::left << std::setw(6) << protocol << std::setw(28) << local << ' '
              << std::setw(28) << peer << ' ' << std::setw(13) << state << process << '\n';
}

int body(const example::arguments& given) {
    const auto owners = find_owners();
    print_row("proto", "local", "peer", "state", "process");
    for (const std::string protocol : {"tcp", "tcp6", "udp", "udp6"}) {
        const std::string table = "/proc/net/" + protocol;
        // A kernel without IPv6 has no tables of it.
        if (!fs::exists(table)) {
            continue;
        }
        const bool udp = protocol.starts_with("udp");
        for (const auto& socket : example::read_socket_table(table)) {
            // UDP does not listen: a socket without a peer takes what comes from anybody.
            const bool listens =
                socket.state == (udp ? example::udp_unconnected : example::tcp_listen);
            if (given.given("--listening") && !listens) {
                continue;
            }
            const auto owner = owners.find(socket.inode);
            print_row(
                protocol,
                tftp::to_string(socket.local),
                listens ? "*" : tftp::to_string(socket.peer),
                udp ? (listens ? "open" : "connected") : example::tcp_state_name(socket.state),
                owner == owners.end() ? "-" : owner->second
            );
        }
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Lists the sockets of TCP and UDP, and who holds them.",
        {{"--listening!", "only those that wait for anybody"}},
        body
    );
}
