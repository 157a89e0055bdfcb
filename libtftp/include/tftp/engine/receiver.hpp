#pragma once

#include <tftp/engine/config.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/exchange.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace tftp {

/// Receives DATA: the client's side of a read, the server's side of a write.
///
/// Contract: after every input, call next() until it returns idle or closed; call on_stored() once
/// after each batch of datagrams, when everything offered is in the sink.
///
/// An ACK leaves only after on_stored(), so it means that the sink has the block; the final one
/// means that the content is committed. Reads no clock: `now` never runs backwards. Nothing
/// allocates or blocks. Not thread-safe. RFC 1350, 1123 s.4.2, 2347, 7440; the reaction to each
/// input is tabled in docs/reference/protocol.md.
class receiver {
public:
    using effect = std::variant<idle, send_control, store, completed, closed>;

    /// Answers the WRQ of `peer`: OACK, or ACK 0 when nothing was negotiated, repeated until DATA
    /// comes.
    [[nodiscard]] static receiver respond(
        const answer& answered, const endpoint& peer, const engine_config& config, time_point now
    ) noexcept;

    /// Asks `server` for a file: an RRQ that is repeated until answered.
    ///
    /// server: its request port, usually 69. Errors: those of `encode_request`.
    [[nodiscard]] static result<receiver> request(
        std::string_view filename,
        transfer_mode mode,
        const offer& offered,
        const endpoint& server,
        const engine_config& config,
        time_point now
    ) noexcept;

    /// Takes a datagram that arrived on the transfer's port; anything may be in it.
    ///
    /// Precondition: what next() offered to store was taken.
    void on_datagram(bytes_view datagram, const endpoint& from, time_point now) noexcept;

    /// Tells that time has passed; harmless when early.
    void on_deadline(time_point now) noexcept;

    /// Tells that all payloads offered so far are stored, and committed when the last one was among
    /// them; releases the ACK.
    void on_stored(time_point now) noexcept;

    /// Tells that the commit of the whole content has begun: from here on only its outcome decides,
    /// on_stored() or on_commit_failed(). What the peer or this side says meanwhile changes
    /// nothing.
    ///
    /// Precondition: whole().
    void on_commit_begun() noexcept;

    /// Tells that the commit failed: ERROR `code` is sent once, the outcome is `why`.
    void on_commit_failed(peer_errc code, std::string_view message, const error_code& why) noexcept;

    /// Tells that the peer sent its request again: the opening leaves once more while no DATA has
    /// come. Later it is as if nothing had come.
    void on_repeated_request() noexcept;

    /// Tells that nobody listens at the peer any more: ends the transfer without an ERROR, or the
    /// stay after the final ACK.
    void on_refused(const error_code& why) noexcept;

    /// Ends the transfer from this side: ERROR `code` is sent once, the outcome is `why`.
    void abort(peer_errc code, std::string_view message, const error_code& why) noexcept;

    /// Returns the next thing to do.
    [[nodiscard]] effect next() noexcept;

    /// Returns the parameters in force: those of RFC 1350 until the options are answered.
    [[nodiscard]] const parameters& agreed() const noexcept { return exchange_.agreed; }

    /// Returns the options that our own request asked for; empty when the peer made the request.
    [[nodiscard]] const offer& offered() const noexcept { return offered_; }

    /// Returns what happened so far.
    [[nodiscard]] const engine_counters& counters() const noexcept { return exchange_.counters; }

    /// Returns the peer; its port is the transfer's once it answered.
    [[nodiscard]] const endpoint& peer() const noexcept { return exchange_.peer; }

    /// Returns true while nothing valid has come from the peer.
    [[nodiscard]] bool opening() const noexcept {
        return exchange_.state == detail::exchange::phase::opening;
    }

    /// Returns the text of the peer's ERROR, unescaped; empty without one.
    [[nodiscard]] std::string_view peer_text() const noexcept { return exchange_.peer_text(); }

    /// Returns true when the options are settled, so `agreed()` will not change any more.
    [[nodiscard]] bool settled() const noexcept { return settled_; }

    /// Returns true while a commit runs.
    [[nodiscard]] bool committing() const noexcept { return committing_; }

    /// Returns true from the last block on: what was offered is all there is.
    [[nodiscard]] bool whole() const noexcept { return whole_; }

private:
    receiver(
        const endpoint& peer, bool initiator, const engine_config& config, time_point now
    ) noexcept;

    void on_data(const data_view& data, const endpoint& from, time_point now) noexcept;
    void on_next_block(bytes_view payload, time_point now) noexcept;
    void on_oack(const oack_view& oack, const endpoint& from, time_point now) noexcept;
    void on_error(const error_view& error, time_point now) noexcept;
    void measure(time_point now) noexcept;
    void acknowledge(bool repeat, time_point now) noexcept;
    void complete(time_point now) noexcept;
    void repeat_last_ack() noexcept;
    [[nodiscard]] bool is_repeat(time_point now) const noexcept;
    [[nodiscard]] duration round_trip() const noexcept;
    [[nodiscard]] duration window_time() const noexcept;
    [[nodiscard]] duration wait() const noexcept;
    [[nodiscard]] time_point missed_at(time_point now) const noexcept;

    /// In lockstep it is the sender that repeats, and some (lwIP) end a transfer at a repeated ACK:
    /// this one waits for longer than they are known to pause, and than our own sender waits, which
    /// would take the repeated ACK for the answer of a slow peer. With windows it does the same
    /// while no loss was seen: other transfers may join on the link.
    static constexpr duration wait_min = std::chrono::milliseconds(1250);
    /// Longest pause of a sender that is remembered; longer ones are timers of its own.
    static constexpr duration stall_max = std::chrono::seconds(2);
    /// No sender's timer is shorter: what comes twice within it is a copy.
    static constexpr duration repeat_min = std::chrono::milliseconds(10);

    detail::exchange exchange_;
    /// Times from one block of a window to the next.
    rto_estimator spacing_;
    offer offered_;
    bool initiator_;
    bool settled_ = false;
    bool whole_ = false;
    bool check_size_ = false;
    bool store_due_ = false;
    /// Blocks were offered and `on_stored` has not been called since.
    bool storing_ = false;
    bool committing_ = false;
    bool gap_due_ = false;
    bool gap_reported_ = false;
    bool repeat_due_ = false;
    bool timing_ = false;
    /// The timer had the last ACK sent again.
    bool asked_again_ = false;
    /// That ACK asked for the rest of a window.
    bool inside_ = false;
    /// The last ACK is to leave once more, unasked, while it dallies until `gone_at_`.
    bool last_ack_again_ = false;
    std::uint64_t expected_ = 1;
    /// Last block acknowledged.
    std::uint64_t acked_ = 0;
    store pending_;
    /// When the last ACK left first and last, and when the last block in order came.
    time_point first_acked_at_;
    time_point acked_at_;
    time_point block_at_;
    time_point gone_at_;
};

static_assert(sizeof(receiver) <= 1152);

} // namespace tftp
