#pragma once

#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/runtime/event_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/runtime/timer_wheel.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/transfer/summary.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace tftp {

class transfer;

/// Where transfers hand over work that may block. Without a host a transfer does it where it
/// stands.
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

/// Who takes part in a transfer; the rest of its state is the engine's.
struct transfer_setup {
    transfer_direction verb = transfer_direction::read;
    std::string_view filename;
    transfer_mode mode = transfer_mode::octet;
    std::unique_ptr<datagram_socket> port;
    transfer_host* host = nullptr;
};

/// One engine, its port, and its file: what remains is to be told when the port is readable or
/// writable and when time has passed. Reactor-neutral: `wants()` and `deadline()` say what to wait
/// for; look again after each call.
///
/// Does not move. Nothing here throws; allocates only when it starts or reads cold data.
/// Not thread-safe: one thread at a time, with that thread's scratch.
class transfer : public timer_entry {
public:
    /// Sends `from` (server of an RRQ, client of a WRQ).
    transfer(
        transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
    );
    /// Receives into `into` (client of an RRQ, server of a WRQ).
    transfer(
        transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
    );
    ~transfer();

    /// Sends the opening: call once, first.
    void start(scratch& memory, time_point now) noexcept;

    /// Takes what has arrived on its port and acts: one write, one run, one ACK a batch. Returns
    /// false when there was nothing, or nothing that may be taken now.
    bool on_readable(scratch& memory, time_point now) noexcept;
    /// Goes on where the socket's buffer was full.
    void on_writable(scratch& memory, time_point now) noexcept;
    /// Time has passed; harmless when early.
    void on_deadline(scratch& memory, time_point now) noexcept;
    /// A job it had handed to its host is done.
    void on_resumed(scratch& memory, time_point now) noexcept;
    /// The peer sent its request once more.
    void on_repeated_request(scratch& memory, time_point now) noexcept;
    /// Ends it: ERROR `code` is sent once, the outcome is `why`.
    void abort(
        peer_errc code,
        std::string_view message,
        const error_code& why,
        scratch& memory,
        time_point now
    ) noexcept;
    /// Ends it without a word to the peer.
    void drop(const error_code& why, scratch& memory, time_point now) noexcept;

    /// Returns what its port is to be watched for now.
    [[nodiscard]] interest wants() const noexcept;

    /// Returns when to call on_deadline(); empty while it waits for something else.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return deadline_; }

    /// Returns true when it is over and may be destroyed.
    [[nodiscard]] bool closed() const noexcept { return closed_; }

    /// Returns true from the moment the outcome is known.
    [[nodiscard]] bool completed() const noexcept { return completed_; }

    /// Returns true while a commit runs: only its outcome ends the transfer then.
    [[nodiscard]] bool committing() const noexcept;
    /// Returns true while nothing valid has come from the peer.
    [[nodiscard]] bool opening() const noexcept;

    /// Returns true once the peer has acknowledged, or sent, content; and when it is over.
    [[nodiscard]] bool acknowledged() const noexcept { return completed_ || counters().bytes != 0; }

    /// Returns true when it is over and did not succeed.
    [[nodiscard]] bool failed() const noexcept { return completed_ && outcome_.failed(); }

    /// Returns about how many bytes it has sent so far, for want of a count never too few.
    [[nodiscard]] std::uint64_t bytes_sent() const noexcept;
    /// Returns the peer; for a client its port is the transfer's once the server answered.
    [[nodiscard]] const endpoint& peer() const noexcept;
    /// Returns what happened so far.
    [[nodiscard]] const engine_counters& counters() const noexcept;
    /// Returns the parameters in force: those of RFC 1350 until the options are answered.
    [[nodiscard]] const parameters& agreed() const noexcept;
    /// Gives up its file, if remote through the host. Only when closed().
    void release_file() noexcept;
    /// Returns what is known so far; final once completed().
    [[nodiscard]] transfer_summary summary() const;

private:
    class job;
    template <class File>
    class file_job;
    class cold_read;
    class write_job;
    class commit_job;

    /// What a cold read brought, until it is sent.
    struct cold_read_result {
        budget_share share;
        std::unique_ptr<std::byte[]> bytes;
        std::uint64_t offset = 0;
        read_outcome outcome;
        error_code error;
    };

    /// What came of a run of DATA.
    struct run_result {
        /// As `datagram_socket::send_run` returns it, or why there was nothing to send.
        result<std::uint16_t> left;
        /// Blocks it was, fewer than asked for when the content ends.
        std::size_t blocks = 0;
        /// It never came to the port.
        bool unread = false;
    };

    /// Bytes on their way to a remote sink, until they are handed to the pool.
    struct write_batch {
        budget_share share;
        /// Where they belong; empty while there is nothing to store, if only an end.
        std::optional<std::uint64_t> offset;
        std::vector<std::byte> bytes;
    };

    template <class Job, class... Arguments>
    [[nodiscard]] bool hand_over(queueing how, Arguments&&... arguments) noexcept;

    void feed(const received& message, scratch& memory, time_point now) noexcept;
    void flush(scratch& memory, time_point now) noexcept;
    void act(scratch& memory, time_point now) noexcept;
    void act(sender& engine, scratch& memory, time_point now) noexcept;
    void act(receiver& engine, scratch& memory, time_point now) noexcept;
    template <class Effect>
    [[nodiscard]] bool end_of_turn(const Effect& effect, time_point now) noexcept;

    /// Calls `f` with the engine; unlike std::visit it has no way to throw.
    template <class Function>
    decltype(auto) with_engine(Function&& f) noexcept {
        auto* const sending = std::get_if<sender>(&engine_);
        return sending != nullptr ? f(*sending) : f(*std::get_if<receiver>(&engine_));
    }

    template <class Function>
    decltype(auto) with_engine(Function&& f) const noexcept {
        const auto* const sending = std::get_if<sender>(&engine_);
        return sending != nullptr ? f(*sending) : f(*std::get_if<receiver>(&engine_));
    }

    [[nodiscard]] bool
    send_run(sender& engine, const send_data& run, scratch& memory, time_point now) noexcept;
    [[nodiscard]] std::optional<run_result>
    send_in_place(sender& engine, const send_data& run, scratch& memory) noexcept;
    [[nodiscard]] run_result
    send_read(sender& engine, const send_data& run, scratch& memory) noexcept;
    [[nodiscard]] bool
    on_unread(sender& engine, const send_data& run, const error_code& why, time_point now) noexcept;
    [[nodiscard]] bool wait_for_buffer(time_point now) noexcept;
    [[nodiscard]] result<read_outcome>
    fill(std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps) noexcept;
    [[nodiscard]] bool start_cold_read(std::uint64_t offset, std::size_t wanted) noexcept;
    void take(receiver& engine, const store& effect, scratch& memory) noexcept;
    void write_pending(receiver& engine, scratch& memory) noexcept;
    void stored(receiver& engine, time_point now) noexcept;
    void write_failed(receiver& engine, const error_code& why) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> size_to_reserve(const receiver& engine) noexcept;
    [[nodiscard]] bool writes_elsewhere() const noexcept;
    [[nodiscard]] bool start_collecting() noexcept;
    void collect(receiver& engine, const store& effect) noexcept;
    void start_write(receiver& engine, write_batch batch) noexcept;
    void finish_write(receiver& engine, const error_code& outcome, time_point now) noexcept;
    void commit(receiver& engine, time_point now) noexcept;
    void finish_commit(receiver& engine, const error_code& outcome, time_point now) noexcept;
    void send_datagram(const send_control& control) noexcept;
    void drop_engine(const error_code& why) noexcept;
    void take_refusals() noexcept;
    void pause(time_point now) noexcept;
    void wait_for_pool(time_point now) noexcept;
    [[nodiscard]] bool initiator() const noexcept;
    void on_completed(const error_code& outcome, time_point now) noexcept;
    [[nodiscard]] std::size_t messages_max() const noexcept;

    std::variant<sender, receiver> engine_;
    std::unique_ptr<datagram_socket> port_;
    std::shared_ptr<source> source_;
    std::shared_ptr<sink> sink_;
    transfer_host* host_;
    /// Owned by the pool while it runs; told when this transfer ends first.
    job* job_ = nullptr;
    cold_read_result cold_;
    std::optional<write_batch> collecting_;
    std::string filename_;
    transfer_mode mode_;
    transfer_direction verb_;
    /// Since when the socket's buffer has taken nothing.
    std::optional<time_point> buffer_full_since_;
    bool want_write_ = false;
    /// A write runs elsewhere: what comes meanwhile waits in the port.
    bool writing_ = false;
    /// Nothing is taken from the port for a moment: there is no memory for it.
    bool resting_ = false;
    /// How often in a row there was no room in the pool, or no memory.
    std::uint8_t pool_waits_ = 0;
    bool reserved_ = false;
    bool pending_last_ = false;
    bool answered_ = false;
    bool completed_ = false;
    bool closed_ = false;
    std::uint16_t pending_count_ = 0;
    std::uint64_t pending_offset_ = 0;
    /// Of the job that wrote or committed.
    std::optional<error_code> sink_outcome_;
    std::optional<time_point> deadline_;
    time_point started_;
    time_point ended_;
    error_code outcome_;
    error_code send_error_;
};

// Its promise to a server with ten thousand of them: no buffer hides in it.
static_assert(sizeof(transfer) <= 2048);

} // namespace tftp
