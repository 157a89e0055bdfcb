#pragma once

#include "server/server_transfer.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_table.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/runtime/timer_wheel.hpp>
#include <tftp/server/held_requests.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tftp {

/// Runs the transfers of a shard: tells them of packets and time, watches their ports, has what
/// they need done elsewhere done by the pool, and destroys them when they are over. What becomes of
/// two transfers of one client port is decided here, too.
///
/// Not thread-safe.
class transfer_runner final : public transfer_host {
public:
    using table = transfer_table<server_transfer>;

    /// held: requests that wait for what a transfer does next. Lifetime: both are borrowed. Throws
    /// std::system_error when the completion queue cannot be made.
    transfer_runner(shard_context& context, held_requests& held, time_point now);
    ~transfer_runner() override;

    /// Returns its transfers.
    [[nodiscard]] table& transfers() noexcept { return table_; }

    [[nodiscard]] const table& transfers() const noexcept { return table_; }

    /// Starts a transfer. Throws std::bad_alloc.
    void add(std::unique_ptr<server_transfer> made, time_point now);

    /// The port of a transfer is ready.
    void on_event(server_transfer& t, bool readable, bool writable, time_point now) noexcept;
    /// There is room in the socket that a transfer shares.
    void on_room(server_transfer& t, time_point now) noexcept;
    /// Packets have come to a transfer through a shared socket.
    void
    on_packets(server_transfer& t, std::span<const received> messages, time_point now) noexcept;
    /// The client of a transfer has repeated its request.
    void on_repeated_request(server_transfer& t, time_point now) noexcept;
    /// Looks for what has come to a transfer since it was read last. Returns false when there was
    /// nothing.
    bool poll_again(server_transfer& t, time_point now) noexcept;
    /// Notes how far a transfer has come, and what its client owes.
    void note_silence(server_transfer& t, time_point now) noexcept;
    /// Ends a transfer without a word to its peer.
    void drop(server_transfer& t, const error_code& why, time_point now) noexcept;
    /// Ends all transfers with ERROR 0. Throws std::bad_alloc.
    void abort_all(time_point now);

    /// Acts on the deadlines that have come.
    void expire(time_point now) noexcept;

    /// Returns the next deadline.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return wheel_.next(); }

    /// Destroys what has ended. Returns true when something had.
    bool destroy_ended() noexcept;

    /// Returns true when the memory of a crowd that has gone is to be given back now.
    [[nodiscard]] bool wants_trim() noexcept;

    /// Returns how many transfers have not completed.
    [[nodiscard]] std::size_t running() const noexcept { return running_; }

    // transfer_host
    [[nodiscard]] bool offload(std::unique_ptr<blocking_job> job, queueing how) noexcept override;
    void resumed(transfer& owner) noexcept override;
    [[nodiscard]] memory_budget& buffers() noexcept override;
    void dispose(std::shared_ptr<const void> content, std::uint64_t lane) noexcept override;

    /// Returns the time of the turn in which jobs of the pool are reported.
    [[nodiscard]] time_point now() const noexcept { return completion_events_.now; }

private:
    /// Jobs of the pool are done.
    struct completion_events final : event_handler {
        void on_event(bool readable, bool writable, time_point at) noexcept override;

        std::unique_ptr<completion_queue> queue;
        time_point now;
    };

    void update(server_transfer& t, time_point now) noexcept;
    void watch(server_transfer& t, time_point now) noexcept;
    void report(server_transfer& t) noexcept;
    void give_up(server_transfer& t, const error_code& why, time_point now) noexcept;
    void remove(server_transfer& t) noexcept;
    void note_answer(server_transfer& t, time_point now) noexcept;
    void charge(server_transfer& t, time_point now) noexcept;
    void tie(server_transfer& rival, server_transfer* old, time_point now) noexcept;
    void untie(server_transfer& t) noexcept;

    shard_context& context_;
    held_requests& held_;
    completion_events completion_events_;
    table table_;
    timer_wheel wheel_;
    std::size_t running_ = 0;
    /// With fewer transfers memory is given back; 0 until there is a crowd.
    std::size_t trim_below_ = 0;
};

} // namespace tftp
