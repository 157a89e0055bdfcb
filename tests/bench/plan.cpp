#include "bench/plan.hpp"

#include <boost/program_options.hpp>

#include <charconv>
#include <limits>
#include <sstream>
#include <string_view>

#include <arpa/inet.h>

namespace tftp::bench {
namespace {

namespace po = boost::program_options;

[[nodiscard]] sockaddr_in address(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    sockaddr_in out{};
    out.sin_family = AF_INET;
    std::uint16_t port = 0;
    if (colon != std::string::npos) {
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    }
    if (port == 0 || ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &out.sin_addr) != 1) {
        throw usage_error("--server takes an IPv4 address and a port: " + text);
    }
    out.sin_port = htons(port);
    return out;
}

/// Takes a number of `least` to `most`.
template <typename Number>
auto number(const char* name, Number& out, std::uint64_t least, std::uint64_t most) {
    return po::value<std::uint64_t>()->value_name("N")->notifier(
        [name, &out, least, most](std::uint64_t given) {
            if (given < least || given > most) {
                std::ostringstream message;
                message << "--" << name << " takes " << least << " to " << most;
                throw usage_error(message.str());
            }
            out = Number(given);
        }
    );
}

} // namespace

plan parse_plan(int argc, char** argv) {
    constexpr std::uint64_t any = std::numeric_limits<std::uint32_t>::max();
    plan out;
    std::string server;
    po::options_description options("bench_load drives a TFTP server and compares every octet.");
    // clang-format off
    options.add_options()
        ("help", "print this text")
        ("server", po::value(&server)->required()->value_name("ADDR:PORT"), "who is asked (IPv4)")
        ("file", po::value(&out.name)->required()->value_name("NAME"),
            "name to ask for; % stands for the number of the transfer")
        ("content", po::value(&out.content_path)->required()->value_name("PATH"),
            "what that file holds")
        ("put", po::bool_switch(&out.put), "send the content, do not fetch it")
        ("gro", po::bool_switch(&out.batched), "receive by UDP_GRO and recvmmsg, send by UDP_SEGMENT")
        ("plain", "one call a datagram (default)")
        ("hold", po::bool_switch(&out.hold),
            "stop before the first ACKs until a line comes on the standard input")
        ("waits", po::bool_switch(&out.waits), "print how long each block was waited for")
        ("clients", number("clients", out.clients, 1, 100'000), "transfers at a time (default: 1)")
        ("transfers", number("transfers", out.transfers, 1, any), "transfers in all (default: 1)")
        ("opening", number("opening", out.opening, 1, 100'000),
            "clients without an answer at a time (default: all)")
        ("blksize", number("blksize", out.blksize, 8, 65464), "octets of a block (default: 512)")
        ("windowsize", number("windowsize", out.windowsize, 1, 1024), "blocks of a window (default: 1)")
        ("timeout", number("timeout", out.timeout, 1, any), "ms until a packet is sent again (default: 1000)")
        ("give-up", number("give-up", out.give_up, 1, any), "ms without progress until a transfer fails (default: 30000)")
        ("limit", number("limit", out.limit, 1, any), "ms until the run is cut (default: 600000)")
        ("loss", number("loss", out.loss_ppm, 0, 900'000), "packets lost each way, in a million (default: 0)")
        ("seed", number("seed", out.seed, 0, any), "which of them (default: 1)");
    // clang-format on
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, options), given);
    if (given.count("help") != 0) {
        std::ostringstream text;
        text << options;
        throw usage_error(text.str());
    }
    po::notify(given);
    if (given.count("plain") != 0 && out.batched) {
        throw usage_error("--gro or --plain, not both");
    }
    if (out.hold && (out.put || out.transfers != out.clients)) {
        throw usage_error("--hold is for downloads that all begin at once");
    }
    out.server = address(server);
    return out;
}

} // namespace tftp::bench
