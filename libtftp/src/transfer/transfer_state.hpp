#pragma once

#include "transfer/transfer_job.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tftp {

/// How long a transfer waits for a buffer or a pool thread before it looks again.
inline constexpr auto blocked_wait = std::chrono::seconds(1);

/// What a transfer wants of its port.
struct port_use {
    /// The socket's buffer was full.
    bool waits_to_send = false;
    /// A write runs elsewhere: what comes meanwhile waits in the port.
    bool writing = false;
    /// Nothing is taken from the port for a moment: there is no memory for it.
    bool resting = false;

    [[nodiscard]] bool may_receive() const noexcept { return !writing && !resting; }
};

/// How far a transfer has come to its end.
struct transfer_end {
    /// The outcome is known.
    bool completed = false;
    /// Nothing is left to do.
    bool closed = false;
    time_point at;
    error_code outcome;
};

/// What a transfer between two peers shares with the path of its data.
struct transfer_state {
    transfer_state(
        transfer& owner,
        std::unique_ptr<datagram_socket> its_port,
        transfer_host* host,
        bool is_initiator,
        time_point now
    ) noexcept
        : port(std::move(its_port)), jobs(owner, host), initiator(is_initiator) {
        end.at = now;
    }

    /// There is no room in the pool, or no memory: has it look again soon, at first.
    void wait_for_pool(time_point now) noexcept {
        // Doubled each time, so that those that wait for a stalled disk cost little.
        constexpr auto wait_min = std::chrono::milliseconds(10);
        constexpr unsigned doublings_max = 6;
        deadline = now + wait_min * (1U << pool_waits);
        pool_waits = static_cast<std::uint8_t>(std::min(pool_waits + 1U, doublings_max));
    }

    /// The same, and nothing is taken from the port until then.
    void pause(time_point now) noexcept {
        use.resting = true;
        wait_for_pool(now);
    }

    void complete(const error_code& outcome, time_point now) noexcept {
        // Nothing was sent for so long that the peer had nothing to answer.
        const bool ours = outcome == errc::timed_out && jobs.occupied();
        end.completed = true;
        end.outcome = ours ? make_error_code(errc::stalled) : outcome;
        end.at = now;
    }

    std::unique_ptr<datagram_socket> port;
    job_slot jobs;
    port_use use;
    transfer_end end;
    /// When to look again; empty while it waits for something else.
    std::optional<time_point> deadline;
    /// Why the system refused to send a datagram, the last time it did.
    error_code send_error;
    /// What the source or the sink answered when it failed.
    error_code content_error;
    /// How often in a row there was no room in the pool, or no memory.
    std::uint8_t pool_waits = 0;
    /// It made the request.
    bool initiator;
};

} // namespace tftp
