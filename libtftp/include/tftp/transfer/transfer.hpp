#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/runtime/event_loop.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/options.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace tftp {

class transfer;

/// Where transfers hand over work that may block. A transfer without a host does such work in the
/// thread that drives it.
class transfer_host {
public:
    transfer_host() = default;
    transfer_host(const transfer_host&) = delete;
    transfer_host& operator=(const transfer_host&) = delete;
    virtual ~transfer_host() = default;

    /// Runs `job` in another thread, then its `done()` in this one. Returns false when it cannot be
    /// taken now.
    [[nodiscard]] virtual bool
    offload(std::unique_ptr<blocking_job> job, queueing how) noexcept = 0;

    /// A job of `owner` is done: call its on_resumed().
    virtual void resumed(transfer& owner) noexcept = 0;

    /// Returns what the transfers may hold in memory together.
    [[nodiscard]] virtual memory_budget& buffers() noexcept = 0;

    /// Destroys `content`, the file of a transfer that is over, where that may wait. lane: its own.
    virtual void dispose(std::shared_ptr<const void> content, std::uint64_t lane) noexcept = 0;

    /// Gives up a hold on `file`, a source or a sink, if any: where that may wait when it is
    /// remote.
    template <class File>
    void release(std::shared_ptr<File>& file) noexcept {
        if (file && file->remote()) {
            const std::uint64_t lane = file->lane();
            dispose(std::move(file), lane);
        }
        file.reset();
    }
};

/// A file on its way, as whoever drives it sees it: a client, a shard of a server, a program with
/// a loop of its own. The driver tells it that its port is readable or writable and that time has
/// passed; `wants()` and `deadline()` tell the driver what to wait for. Look at both again after
/// each call.
///
/// `make_transfer` makes the transfers between two peers (RFC 1350). The interface says nothing of
/// engines and of how many peers receive: one sender for many receivers (multicast, RFC 2090) is
/// another implementation of it, whose peer() is the one that acknowledges.
///
/// Does not move. Nothing here throws, but for summary(). Allocates only when it starts, when it
/// reads cold data, and when it stores at a remote place. Not thread-safe: one thread at a time,
/// with the scratch of that thread.
class transfer {
public:
    transfer() = default;
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;
    virtual ~transfer() = default;

    /// Sends the opening. Call it once, before anything else.
    virtual void start(scratch& memory, time_point now) noexcept = 0;

    /// Takes what has arrived at its port and acts: one write, one run, one ACK a batch. Returns
    /// false when there was nothing, or nothing that may be taken now.
    virtual bool on_readable(scratch& memory, time_point now) noexcept = 0;
    /// Goes on where the socket's buffer was full.
    virtual void on_writable(scratch& memory, time_point now) noexcept = 0;
    /// Time has passed; harmless when early.
    virtual void on_deadline(scratch& memory, time_point now) noexcept = 0;
    /// A job that it had handed to its host is done.
    virtual void on_resumed(scratch& memory, time_point now) noexcept = 0;
    /// The peer sent its request once more.
    virtual void on_repeated_request(scratch& memory, time_point now) noexcept = 0;
    /// Ends it: ERROR `code` is sent once, the outcome is `why`.
    virtual void abort(
        peer_errc code,
        std::string_view message,
        const error_code& why,
        scratch& memory,
        time_point now
    ) noexcept = 0;
    /// Ends it without a word to the peer.
    virtual void drop(const error_code& why, scratch& memory, time_point now) noexcept = 0;

    /// Returns what its port is to be watched for now.
    [[nodiscard]] virtual interest wants() const noexcept = 0;
    /// Returns when to call on_deadline(); empty while it waits for something else.
    [[nodiscard]] virtual std::optional<time_point> deadline() const noexcept = 0;
    /// Returns true when it is over and may be destroyed.
    [[nodiscard]] virtual bool closed() const noexcept = 0;
    /// Returns true from the moment the outcome is known.
    [[nodiscard]] virtual bool completed() const noexcept = 0;
    /// Returns true while a commit runs: only its outcome ends the transfer then.
    [[nodiscard]] virtual bool committing() const noexcept = 0;
    /// Returns true while nothing valid has come from the peer.
    [[nodiscard]] virtual bool opening() const noexcept = 0;
    /// Returns true once the peer has acknowledged, or sent, content; and when it is over.
    [[nodiscard]] virtual bool acknowledged() const noexcept = 0;
    /// Returns true when it is over and did not succeed.
    [[nodiscard]] virtual bool failed() const noexcept = 0;

    /// Returns about how many bytes it has sent so far, for want of a count never too few.
    [[nodiscard]] virtual std::uint64_t bytes_sent() const noexcept = 0;
    /// Returns the peer; for a client its port is the transfer's once the server answered.
    [[nodiscard]] virtual const endpoint& peer() const noexcept = 0;
    /// Returns what happened so far.
    [[nodiscard]] virtual const engine_counters& counters() const noexcept = 0;
    /// Returns the parameters in force: those of RFC 1350 until the options are answered.
    [[nodiscard]] virtual const parameters& agreed() const noexcept = 0;
    /// Gives up its file, if remote through the host. Only when closed().
    virtual void release_file() noexcept = 0;
    /// Returns what is known so far; final once completed(). Throws std::bad_alloc.
    [[nodiscard]] virtual transfer_summary summary() const = 0;
};

} // namespace tftp
