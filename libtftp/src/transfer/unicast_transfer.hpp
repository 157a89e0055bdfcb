#pragma once

#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace tftp {

/// A transfer between two peers: one engine, its port and its file.
class unicast_transfer : public transfer {
public:
    /// Sends `from`.
    unicast_transfer(
        transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
    );
    /// Receives into `into`.
    unicast_transfer(
        transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
    );
    ~unicast_transfer() override;

    void start(scratch& memory, time_point now) noexcept override;
    bool on_readable(scratch& memory, time_point now) noexcept override;
    void on_writable(scratch& memory, time_point now) noexcept override;
    void on_deadline(scratch& memory, time_point now) noexcept override;
    void on_resumed(scratch& memory, time_point now) noexcept override;
    void on_repeated_request(scratch& memory, time_point now) noexcept override;
    void abort(
        peer_errc code,
        std::string_view message,
        const error_code& why,
        scratch& memory,
        time_point now
    ) noexcept override;
    void drop(const error_code& why, scratch& memory, time_point now) noexcept override;

    [[nodiscard]] interest wants() const noexcept override;

    [[nodiscard]] std::optional<time_point> deadline() const noexcept override { return deadline_; }

    [[nodiscard]] bool closed() const noexcept override { return closed_; }

    [[nodiscard]] bool completed() const noexcept override { return completed_; }

    [[nodiscard]] bool committing() const noexcept override;
    [[nodiscard]] bool opening() const noexcept override;

    [[nodiscard]] bool acknowledged() const noexcept override {
        return completed_ || counters().bytes != 0;
    }

    [[nodiscard]] bool failed() const noexcept override { return completed_ && outcome_.failed(); }

    [[nodiscard]] std::uint64_t bytes_sent() const noexcept override;
    [[nodiscard]] const endpoint& peer() const noexcept override;
    [[nodiscard]] const engine_counters& counters() const noexcept override;
    [[nodiscard]] const parameters& agreed() const noexcept override;
    void release_file() noexcept override;
    [[nodiscard]] transfer_summary summary() const override;

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
static_assert(sizeof(unicast_transfer) <= 2048);

} // namespace tftp
