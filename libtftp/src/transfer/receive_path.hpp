#pragma once

#include "transfer/engine_path.hpp"

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace tftp {

/// From DATA in the thread's ring to a sink. What a batch of datagrams brings is one write: from
/// where it stands to a local sink, by the pool and from a copy to a remote one. Then the commit.
class receive_path final : public engine_path<receiver> {
public:
    /// mode: a size announced in netascii is not that of what is stored.
    receive_path(
        transfer_state& state,
        const receiver& engine,
        std::shared_ptr<sink> into,
        transfer_mode mode
    ) noexcept;

    /// Does what the engine wants done.
    void act(scratch& memory, time_point now) noexcept;

    /// Returns how many messages one receive takes.
    [[nodiscard]] std::size_t messages_max() const noexcept;

    /// A batch of messages may be taken from the port, unless it returns false: there is no memory
    /// for what it would bring.
    [[nodiscard]] bool begin_batch(time_point now) noexcept;

    /// Takes one datagram of the batch. It stays where it is until the end of the batch.
    void on_datagram(
        bytes_view datagram, const endpoint& from, scratch& memory, time_point now
    ) noexcept;

    /// Stores what the batch brought.
    void end_batch(scratch& memory, time_point now) noexcept;

    /// A job is done: it has left what came of it here.
    void on_resumed(time_point now) noexcept;

    [[nodiscard]] std::uint64_t bytes_sent() const noexcept { return control_bytes_sent(); }

    void release_file() noexcept;

private:
    class write_job;
    class commit_job;

    /// Payloads for a local sink, described in the thread's scratch.
    struct gathered_write {
        std::uint64_t offset = 0;
        std::uint16_t count = 0;
    };

    /// Bytes on their way to a remote sink, until they are handed to the pool.
    struct write_batch {
        budget_share share;
        /// Where they belong; empty while there is nothing to store, if only an end.
        std::optional<std::uint64_t> offset;
        std::vector<std::byte> bytes;
    };

    void take(const store& effect, scratch& memory) noexcept;
    void write_gathered(scratch& memory) noexcept;
    [[nodiscard]] bool writes_elsewhere() const noexcept;
    [[nodiscard]] bool start_batch() noexcept;
    void add_to_batch(const store& effect) noexcept;
    void start_write(write_batch batch) noexcept;
    void finish_write(const error_code& outcome, time_point now) noexcept;
    void write_failed(const error_code& why) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> size_to_reserve() noexcept;
    void stored(time_point now) noexcept;
    void commit(time_point now) noexcept;
    void finish_commit(const error_code& outcome, time_point now) noexcept;

    std::shared_ptr<sink> sink_;
    gathered_write gathered_;
    std::optional<write_batch> batch_;
    /// Of the job that wrote or committed.
    std::optional<error_code> job_outcome_;
    transfer_mode mode_;
    bool reserved_ = false;
    /// The last block is among what was taken and is not committed yet.
    bool last_taken_ = false;
};

} // namespace tftp
