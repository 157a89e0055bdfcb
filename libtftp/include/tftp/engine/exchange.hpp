#pragma once

#include <tftp/engine/config.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/rto.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tftp::detail {

/// What both engines share: who the peer is, the opening datagram and its repeats, control
/// datagrams waiting to be sent, the retransmission timer, and how the transfer ends.
class exchange {
public:
    /// opening: nothing valid came from the peer yet. finished: the outcome is known.
    enum class phase : std::uint8_t { opening, established, dallying, finished };

    /// Who a datagram comes from.
    enum class origin : std::uint8_t {
        peer,
        /// The asked host, before its transfer port is known.
        candidate,
        stranger
    };

    exchange(
        const endpoint& remote, bool initiator, const engine_config& settings, time_point now
    ) noexcept;

    [[nodiscard]] origin classify(const endpoint& from) const noexcept;
    /// The first valid answer fixes the peer's TID (RFC 1350 s.4).
    void lock(const endpoint& from) noexcept;
    /// A stranger gets ERROR 5 and disturbs nothing; an ERROR is never answered.
    void on_stranger(const endpoint& from, const packet_view& packet) noexcept;

    void on_malformed() noexcept { ++counters.malformed; }

    /// Memory for the opening datagram; `opening_written` says how much of it is used and arms it.
    [[nodiscard]] bytes_span opening_buffer() noexcept { return buffer_; }

    void opening_written(std::size_t size, time_point now) noexcept;
    /// The peer answered: the opening is over, its round trip is measured if it was sent once.
    void established(time_point now) noexcept;

    void queue_ack(std::uint16_t wire_block) noexcept;
    /// Ends the transfer: ERROR to the peer unless `code` is empty or nobody is there to hear it.
    void
    finish(std::optional<peer_errc> code, std::string_view message, const error_code& why) noexcept;
    /// Ends the transfer by the peer's ERROR; its text is kept for `peer_text`.
    void finish_by_peer(const error_view& error, const error_code& why) noexcept;

    /// The peer refused a copy of the opening. Returns true when another copy may still be
    /// answered: the refusal is kept, nothing more is sent, and `retry` tells when to believe it.
    [[nodiscard]] bool defer_refusal(const error_view& error, time_point now) noexcept;

    /// Something was sent at `now`: opening schedule before the peer was heard, measured or
    /// negotiated interval afterwards.
    void restart_timer(time_point now) noexcept { restart_timer(now, interval()); }

    /// The same with an interval of the caller's for an established transfer.
    void restart_timer(time_point now, duration wait) noexcept;
    /// The timer fired: returns false when it is time to give up, with `give_up` for the rest.
    [[nodiscard]] bool retry(time_point now) noexcept;
    /// Ends the transfer in silence's name: with the refusal that was kept, if there is one.
    void give_up() noexcept;

    /// It moves, though the peer has yet to say so: blocks left for the first time.
    void moved(time_point now) noexcept { last_progress_ = now; }

    /// The transfer moved forward.
    void progress(time_point now) noexcept;
    /// The same for one block that was received: fewer than four in 30 s are no progress, or a peer
    /// that sends one now and then would hold a transfer for ever.
    void progress_by_block(time_point now) noexcept;
    /// Interval of the retransmission timer of an established transfer.
    [[nodiscard]] duration interval() const noexcept;
    /// What `interval` adapts: the timer of an established transfer when it measures `measured`.
    [[nodiscard]] duration interval(duration measured) const noexcept;

    /// Returns how often the timer fired since the last progress.
    [[nodiscard]] unsigned timeouts_in_a_row() const noexcept { return sends_ - 1U; }

    /// Next control datagram, if any is waiting.
    [[nodiscard]] std::optional<send_control> next_control() noexcept;

    /// Sends the opening once more, unless a refusal is kept, which took its place. Karn's rule: no
    /// round trip is taken from an opening sent twice.
    void repeat_opening() noexcept {
        if (refusals_ == 0) {
            opening_due_ = true;
            opening_repeated_ = true;
        }
    }

    [[nodiscard]] bool has_opening() const noexcept { return buffer_used_ != 0; }

    [[nodiscard]] std::string_view peer_text() const noexcept;

    engine_config config;
    rto_estimator rto;
    engine_counters counters;
    parameters agreed;
    endpoint peer;
    time_point deadline;
    error_code outcome;
    phase state = phase::opening;
    bool completed_told = false;

private:
    /// Keeps the doubling of opening intervals within the range of `duration`.
    static constexpr unsigned doublings_max = 15;
    static constexpr std::size_t trickle_blocks = 4;
    static constexpr duration trickle_time = std::chrono::seconds(30);

    [[nodiscard]] duration opening_interval() const noexcept;
    [[nodiscard]] duration hold() const noexcept;
    void keep_text(std::string_view text) noexcept;

    time_point started_;
    time_point last_progress_;
    /// When the newest blocks came, the oldest at `oldest_`: they and the next are
    /// `trickle_blocks`.
    std::array<time_point, trickle_blocks - 1> came_{};
    endpoint stranger_;
    std::uint16_t buffer_used_ = 0;
    std::uint16_t text_size_ = 0;
    /// Sends since the peer was last heard to move forward, the first one included.
    std::uint8_t sends_ = 1;
    /// Copies of the opening that were refused, and what the first refusal said.
    std::uint8_t refusals_ = 0;
    peer_errc refusal_ = peer_errc::undefined;
    std::uint8_t oldest_ = 0;
    bool locked_;
    bool opening_due_ = false;
    bool opening_repeated_ = false;
    bool opening_sent_ = false;
    bool ack_due_ = false;
    bool error_due_ = false;
    bool stranger_due_ = false;
    std::array<std::byte, header_size> ack_{};
    /// The opening datagram while it may be repeated; then the ERROR that ends the transfer, or the
    /// text of the peer's.
    std::array<std::byte, request_size_max> buffer_{};
};

} // namespace tftp::detail
