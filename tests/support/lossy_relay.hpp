#pragma once

#include "support/network.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tftp::test {

/// A UDP relay on 127.0.0.1 between TFTP clients and one server that loses packets as told.
///
/// Clients send their requests to port(). Every server port that answers (TID) shows to the client
/// as a port of its own, so both ends see a proper TFTP peer. Runs on a thread of its own from
/// construction to destruction.
class lossy_relay {
public:
    /// What came by so far.
    struct traffic {
        std::uint64_t forwarded = 0;
        std::uint64_t dropped = 0;
        /// Every datagram that reached port(), and the first of every server TID, lost or not.
        std::vector<std::string> requests;
        std::vector<std::string> answers;
    };

    /// Starts relaying to `server`, an IPv4 address.
    ///
    /// loss: probability, 0 to 1, with which a datagram is dropped, each direction on its own.
    /// seed: fixes the sequence of decisions of each direction. Throws std::system_error.
    lossy_relay(const endpoint& server, double loss, std::uint64_t seed);
    ~lossy_relay();
    lossy_relay(const lossy_relay&) = delete;
    lossy_relay& operator=(const lossy_relay&) = delete;

    /// Where clients find it.
    [[nodiscard]] endpoint address() const;

    /// A copy of the counters and first datagrams. Any thread.
    [[nodiscard]] traffic seen() const;

private:
    class worker;

    std::uint16_t port_ = 0;
    int listen_fd_ = -1;
    int stop_fd_ = -1;
    mutable std::mutex mutex_;
    traffic traffic_;
    std::thread thread_;
};

} // namespace tftp::test
