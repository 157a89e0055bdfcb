#pragma once

#include <tftp/base/time.hpp>
#include <tftp/engine/block_number.hpp>
#include <tftp/engine/rto.hpp>

#include <chrono>
#include <cstdint>

namespace tftp {

/// What a negotiated `timeout` (RFC 2349) means for the retransmission timer.
enum class timeout_policy : std::uint8_t {
    /// It is the interval, as the client asked.
    honour,
    /// It bounds the measured interval: spares a client that always asks for 5 s a stall of 5 s for
    /// each lost packet.
    ceiling,
};

/// How an engine retransmits, gives up and numbers blocks.
struct engine_config {
    rollover wrap = rollover::to_zero;
    timeout_policy timeouts = timeout_policy::honour;
    rto_limits rto;
    /// Sends of the opening while the peer has not answered; intervals start at `rto.initial` and
    /// double without bound, so 5 sends at 1 s give up after 31 s.
    std::uint8_t opening_sends = 5;
    /// Seconds before which an opening is not given up, however few its sends: it waits in silence.
    /// 0: as soon as the interval of the last send is over. (Small, as each transfer has one.)
    std::chrono::duration<std::uint16_t> opening_patience{};
    /// Time without progress before an established transfer is given up; twice an interval that
    /// does not adapt, negotiated or fixed, if that is longer.
    duration give_up = std::chrono::seconds(60);
    /// Time a receiver stays to repeat its final ACK (RFC 1350 s.6): a client no longer than this,
    /// a server two intervals of at most `rto.max` if those are longer.
    duration dally_max = std::chrono::seconds(3);
    /// The interval of every timer, from the opening on: nothing is measured, nothing doubled. For
    /// peers that need it. Zero: the timer adapts.
    duration fixed_interval{};
};

/// What happened in one transfer. Blocks and datagrams of this side unless said otherwise.
struct engine_counters {
    /// Bytes of content that are acknowledged (sender) or offered for storage (receiver).
    std::uint64_t bytes = 0;
    /// DATA blocks sent (sender) or taken in order (receiver), repeats not counted.
    std::uint64_t blocks = 0;
    /// Openings, DATA blocks (sender) and ACKs (receiver) that were sent again.
    std::uint64_t retransmissions = 0;
    /// Times the retransmission timer fired.
    std::uint32_t timeouts = 0;
    /// Gaps that the receiver reported (sender) or saw (receiver).
    std::uint32_t gaps = 0;
    /// Duplicate, stale or out-of-window datagrams of the peer, ignored.
    std::uint64_t ignored = 0;
    /// Datagrams of strangers; answered with ERROR 5.
    std::uint32_t strangers = 0;
    /// Datagrams that were no TFTP packets; dropped.
    std::uint32_t malformed = 0;
    /// Sender: every block was sent at least once. With `errc::timed_out` it says that only the
    /// final ACK is missing (phones never send it).
    bool all_sent = false;
};

} // namespace tftp
