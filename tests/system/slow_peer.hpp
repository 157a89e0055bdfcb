#pragma once

#include "support/udp_client.hpp"

#include <tftp/base/endpoint.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tftp::test {

/// How slow a peer is, and what it moves: `blocks` blocks of 512 bytes and one more octet.
struct slowness {
    std::string name;
    std::uint16_t window = 1;
    std::uint16_t blocks = 0;
    /// What the peer takes for a block, one at a time; for its part of the opening with 0.
    std::function<std::chrono::microseconds(unsigned block)> takes;
    /// What it takes for each datagram that comes again.
    std::chrono::microseconds copy_takes{};

    /// Returns what it takes when nothing comes again.
    [[nodiscard]] std::chrono::duration<double> ideal() const;
};

/// What a slow peer saw of a transfer.
struct seen_slowly {
    /// Whether it came to its end.
    bool whole = false;
    /// What was read.
    std::string content;
    /// The last block that was there, for each DATA, ACK or opening that came without need.
    std::vector<unsigned> repeats;
    std::chrono::duration<double> elapsed{};
    /// By how much more than it wanted to take the peer took in all: it had to wait for a
    /// processor.
    std::chrono::duration<double> late{};
    /// How often that was so long that a repeat may come of it.
    std::size_t far_too_late = 0;

    /// Returns how many came when less than `block` was there.
    [[nodiscard]] std::size_t repeats_before(unsigned block) const;
};

/// Returns what a transfer as slow as that moves.
[[nodiscard]] std::string content_of(const slowness& how);

/// A client that takes the file `how.name` from a server, for any thread.
[[nodiscard]] seen_slowly get_slowly(const tftp::endpoint& where, const slowness& how);

/// A client that sends content_of(how) under that name, for any thread.
[[nodiscard]] seen_slowly put_slowly(const tftp::endpoint& where, const slowness& how);

/// A server that answers the one request that comes to `port`, of either kind, for any thread.
[[nodiscard]] seen_slowly serve_slowly(udp_client& port, const slowness& how);

} // namespace tftp::test
