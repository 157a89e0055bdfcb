#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <netinet/in.h>

namespace tftp::bench {

/// What bench_load is to do, as its command line says.
struct plan {
    sockaddr_in server{};
    /// Name in the requests; a `%` stands for the number of the transfer.
    std::string name;
    std::string content_path;
    /// Upload; otherwise download.
    bool put = false;
    /// UDP_GRO with recvmmsg, or UDP_SEGMENT for uploads; otherwise one datagram a call.
    bool batched = false;
    /// Stop each client before its first ACK, until a line comes on the standard input.
    bool hold = false;
    /// Note how long each block of a download was waited for.
    bool waits = false;
    std::uint32_t clients = 1;
    std::uint64_t transfers = 1;
    /// Clients that wait for a first answer at a time, at most.
    std::uint32_t opening = 100'000;
    std::uint16_t blksize = 512;
    std::uint16_t windowsize = 1;
    /// Until a client repeats its last packet.
    std::chrono::milliseconds timeout{1000};
    /// Without progress, until a client fails.
    std::chrono::milliseconds give_up{30'000};
    /// Until the whole run is cut.
    std::chrono::milliseconds limit{600'000};
    /// Packets of each direction that are dropped, in a million.
    std::uint32_t loss_ppm = 0;
    std::uint64_t seed = 1;
};

/// A command line that is refused; what() says why.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Returns what the command line asks for. Throws usage_error; `--help` is one with the help.
[[nodiscard]] plan parse_plan(int argc, char** argv);

} // namespace tftp::bench
