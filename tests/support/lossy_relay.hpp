#pragma once

#include "support/network.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tftp::test {

/// Which datagrams of a transfer are lost: chosen by what they are, never by when they come. So a
/// pattern means the same on each machine, and what a peer that gives up can bear can be chosen.
///
/// Lost are the first copies of DATA `first`, `first + every`, ..., and of the ACKs half as far
/// from them. The ACK of the last block is not: who waits for it may find nobody who repeats it.
struct loss_pattern {
    /// One block in so many; 0: none.
    unsigned every = 0;
    /// The first of them, 1 to `every`.
    unsigned first = 1;
    /// How many copies of each are lost, one after the other.
    unsigned copies = 1;
    /// Whether the first request and the first answer to one that is not DATA are lost, too.
    bool opening = false;
};

/// Patterns that differ in the blocks, in their number, and in what is lost of each, for peers that
/// send everything three times and more. A peer with rules of its own has patterns of its own.
inline constexpr loss_pattern loss_patterns[] = {
    {20, 5, 1, false}, {16, 1, 1, true}, {32, 9, 2, false}};

/// In words, for tables and messages.
[[nodiscard]] std::string to_string(const loss_pattern& pattern);

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

    /// Starts relaying to `behind`, a server at an IPv4 address; loses what `pattern` says, by
    /// default nothing. Throws std::system_error.
    explicit lossy_relay(const endpoint& behind, const loss_pattern& pattern = loss_pattern());

    /// The same, but loses at random: for peers that never give up, as two of ours.
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

    void start(std::shared_ptr<worker> work);

    std::uint16_t port_ = 0;
    int listen_fd_ = -1;
    int stop_fd_ = -1;
    mutable std::mutex mutex_;
    traffic traffic_;
    std::thread thread_;
};

} // namespace tftp::test
