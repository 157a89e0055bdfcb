#pragma once

#include <tftp/engine/config.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/exchange.hpp>
#include <tftp/engine/pacer.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace tftp {

/// Sends DATA: the server's side of a read, the client's side of a write.
///
/// Contract: after every input, call next() until it returns idle or closed.
///
/// It speaks of blocks, never of their bytes: the caller reads block n from byte (n - 1) x
/// blksize of the content, as often as it is offered. Reads no clock: `now` never runs backwards.
/// Nothing allocates or blocks. Not thread-safe. RFC 1350, 1123 s.4.2, 2347, 7440; the reaction to
/// each input is tabled in docs/protocol.md.
class sender {
public:
    using effect = std::variant<idle, send_control, send_data, completed, closed>;

    /// Answers the RRQ of `peer`: an OACK that is repeated until acknowledged, or DATA at once when
    /// nothing was negotiated.
    [[nodiscard]] static sender respond(
        const answer& answered, const endpoint& peer, const engine_config& config, time_point now
    ) noexcept;

    /// Asks `server` to take a file: a WRQ that is repeated until answered.
    ///
    /// server: its request port, usually 69. Errors: those of `encode_request`.
    [[nodiscard]] static result<sender> request(
        std::string_view filename,
        transfer_mode mode,
        const offer& offered,
        const endpoint& server,
        const engine_config& config,
        time_point now
    ) noexcept;

    /// Takes a datagram that arrived on the transfer's port; anything may be in it.
    void on_datagram(bytes_view datagram, const endpoint& from, time_point now) noexcept;

    /// Tells that time has passed; harmless when early.
    void on_deadline(time_point now) noexcept;

    /// Tells that the first `blocks` blocks of the run offered last have left.
    ///
    /// blocks: 0..run.count.
    void on_sent(const send_data& run, std::uint16_t blocks, time_point now) noexcept;

    /// Tells the size of the content: before the first run when it is known, or when a read came
    /// short; it fixes the last block. With rollover forbidden, content that needs more than 65535
    /// blocks ends the transfer with ERROR 3.
    void on_source_end(std::uint64_t size_bytes) noexcept;

    /// Tells that the peer sent its request again: the opening, or the first DATA, leaves once more
    /// while nothing has been acknowledged. Later it is as if nothing had come.
    void on_repeated_request() noexcept;

    /// Tells that nobody listens at the peer any more: ends the transfer without an ERROR.
    void on_refused(const error_code& why) noexcept;

    /// Ends the transfer from this side: ERROR `code` is sent once, the outcome is `why`.
    void abort(peer_errc code, std::string_view message, const error_code& why) noexcept;

    /// Returns the next thing to do.
    ///
    /// blocks_max: the most blocks the caller can send in one run, >= 1.
    [[nodiscard]] effect next(std::uint16_t blocks_max) noexcept;

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

    /// Returns the first block not acknowledged.
    [[nodiscard]] std::uint64_t base() const noexcept { return base_; }

    /// Returns the rollover policy the wire numbers of its blocks follow.
    [[nodiscard]] rollover wrap() const noexcept { return exchange_.config.wrap; }

    /// Returns the smoothed round trip; empty before it is measured.
    [[nodiscard]] std::optional<duration> round_trip() const noexcept {
        return exchange_.rto.smoothed();
    }

private:
    static constexpr std::uint64_t max_block_without_rollover = 65535;
    /// Timeouts in a row that send one block of a window only.
    static constexpr unsigned probes_max = 2;
    /// Doublings of the time after which a repeated ACK is honoured again.
    static constexpr std::uint8_t honoured_max = 7;
    /// Blocks that are sent again, at least, until one is acknowledged; else as many as a window.
    static constexpr std::uint32_t unproven_repeats_min = 7;

    sender(
        const endpoint& peer, bool initiator, const engine_config& config, time_point now
    ) noexcept;

    void on_ack(const ack_view& ack, time_point now) noexcept;
    void on_new_ack(std::uint64_t block, time_point now) noexcept;
    void measure(std::uint64_t block, unsigned timeouts, time_point now) noexcept;
    void measure_gap(std::uint64_t taken, time_point now) noexcept;
    [[nodiscard]] duration spread_of(std::uint64_t further) const noexcept;
    void on_repeated_ack(time_point now) noexcept;
    void on_oack(const oack_view& oack, const endpoint& from, time_point now) noexcept;
    [[nodiscard]] bool on_copy_answered(time_point now) noexcept;
    void on_error(const error_view& error, time_point now) noexcept;
    void start() noexcept;
    void rewind() noexcept;
    void send_again() noexcept;
    void send_ends_again() noexcept;
    void pause(time_point now, duration wait) noexcept;
    void refuse_rollover() noexcept;
    [[nodiscard]] std::optional<send_data> next_run(std::uint16_t blocks_max) const noexcept;

    [[nodiscard]] bool awaits_options() const noexcept {
        return !initiator_ && exchange_.has_opening();
    }

    /// Returns true while no DATA was acknowledged to a server: the request may be forged.
    [[nodiscard]] bool unproven() const noexcept { return base_ == 1 && !initiator_; }

    [[nodiscard]] bool may_send_unproven(std::uint32_t blocks) const noexcept;

    /// Returns the next block that leaves alone, out of order; 0 when there is none.
    [[nodiscard]] std::uint64_t lone_block() const noexcept {
        return first_again_ ? base_ : last_again_ ? next_ - 1 : 0;
    }

    detail::exchange exchange_;
    detail::pacer pacer_;
    offer offered_;
    bool initiator_;
    /// The window was sent again for a repeated ACK; not twice for the same base.
    bool repeat_honoured_ = false;
    /// The OACK came again once since the options were settled.
    bool oack_repeated_ = false;
    /// Repeated ACKs that were honoured again since the last new one.
    std::uint8_t honoured_ = 0;
    /// Blocks left again that the receiver may have had: since the last new ACK, or before it.
    bool window_repeated_ = false;
    bool after_repeats_ = false;
    /// What is under way began with blocks that had left before.
    bool again_ = false;
    /// Its first block is acknowledged, and when the others left is not known.
    bool mixed_ = false;
    bool paced_ = false;
    bool timing_ = false;
    /// The first or the last block of the window is to leave once more, alone.
    bool first_again_ = false;
    bool last_again_ = false;
    /// While nothing is acknowledged: the receiver has shown that blocks came and the first did
    /// not.
    bool first_is_missing_ = false;
    /// Copies of blocks that are acknowledged by now and were not seen to be answered.
    std::uint8_t copies_ = 0;
    /// Blocks may be offered: options are settled.
    bool started_ = false;
    std::uint64_t base_ = 1;
    std::uint64_t next_ = 1;
    /// Highest block ever sent.
    std::uint64_t sent_ = 0;
    /// 0 until the size of the content is known.
    std::uint64_t last_ = 0;
    std::optional<std::uint64_t> size_;
    /// The newest run; it is timed if none of its blocks had been sent before: Karn's rule.
    time_point left_at_;
    std::uint16_t left_blocks_ = 0;
    /// Blocks of the run that was measured last.
    std::uint16_t timed_blocks_ = 0;
    /// DATA sent while none was acknowledged.
    std::uint32_t unproven_blocks_ = 0;
    /// When something was sent again last.
    time_point repeated_at_;
    /// When block `base_` left first and last.
    time_point base_first_sent_at_;
    time_point base_sent_at_;
    time_point pace_until_;
};

static_assert(sizeof(sender) <= 1280);

} // namespace tftp
