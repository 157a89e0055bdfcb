#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <sim/tally.hpp>
#include <utility>
#include <vector>

namespace tftp::sim {

/// What the datagrams of a port must keep to, beyond the RFCs.
struct watch_rules {
    engine_config engine;
    /// What disks, sockets and programs may take beyond what the engine waits for.
    duration slack = std::chrono::seconds(2);
    /// Nothing is held up by disk or socket, so each DATA leaves by what caused it.
    bool prompt = true;
};

/// Follows one transfer by its datagrams alone, knowing nothing of the library: an
/// account of its own of what was sent, taken and acknowledged.
class wire_watch {
public:
    /// What the program is doing when it sends.
    enum class cause : std::uint8_t {
        /// It handles a datagram of this port.
        datagram,
        /// Time passed, another port was ready, a job is done.
        other,
    };

    wire_watch(const watch_rules& rules, verdict& judge, time_point now)
        : rules_(rules), judge_(&judge), progress_at_(now) {}

    /// A datagram left, or was lost on the way out as if it had.
    void on_sent(const endpoint& to, bytes_view octets, cause why, time_point now);
    /// A datagram was handed to the program.
    void on_received(const endpoint& from, bytes_view octets, time_point now);

    /// The socket took less than it was given: from now on DATA leaves late.
    void on_held_up() noexcept {
        held_up_ = true;
        rules_.prompt = false;
    }

    /// Its peer sent a request: the answer leaves once more, or there are two transfers.
    void on_request() noexcept {
        asked_again_ = true;
        steps_ += heard_ ? 0U : 1U;
    }

    [[nodiscard]] bool asked_again() const noexcept { return asked_again_; }

    /// It cannot be followed any more: one of two transfers with its peer, through one port, ended
    /// in silence, or what it began with was refused by the socket. It is not judged.
    void doubt() noexcept { doubtful_ = true; }

    [[nodiscard]] bool doubtful() const noexcept { return doubtful_; }

    /// The outcome is known.
    void on_outcome(bool success, time_point now) noexcept {
        over_ = true;
        success_ = success;
        progress_at_ = now;
    }

    /// Returns true when `octets` may leave after what was handed to the program so far.
    [[nodiscard]] bool explains(bytes_view octets) const noexcept;
    /// Returns true for the ACK of all that a transfer that ended well may go on to repeat.
    [[nodiscard]] bool is_last_ack(bytes_view octets) const noexcept;

    /// Looks whether it should have been given up.
    void check_patience(time_point now);

    /// Its port is closed, or its outcome is about to be known.
    void on_close(time_point now);

    /// DATA sent, repeats included.
    [[nodiscard]] std::uint64_t data_sent() const noexcept { return data_sent_; }

    /// Blocks sent or taken in order.
    [[nodiscard]] std::uint64_t blocks() const noexcept { return highest_ + got_; }

    [[nodiscard]] std::uint64_t repeats() const noexcept { return data_sent_ - highest_; }

    [[nodiscard]] std::uint64_t windowsize() const noexcept { return agreed_.windowsize; }

    /// Returns true once something valid came from the peer.
    [[nodiscard]] bool heard() const noexcept { return heard_; }

    [[nodiscard]] bool over() const noexcept { return over_; }

    /// Returns false for an ACK of what has not been sent, when it is read: with windows, all that
    /// is read at once is heard before anything is sent.
    [[nodiscard]] bool may_take(const ack_view& ack) const noexcept {
        return agreed_.windowsize == 1 || find(ack.block, acked_, highest_).has_value();
    }

    /// Returns true once the peer has acknowledged, or brought, all of the content.
    [[nodiscard]] bool complete() const noexcept {
        return whole_ || (last_ != 0 && acked_ == last_);
    }

    /// Family `none` until it is known.
    [[nodiscard]] const endpoint& peer() const noexcept { return peer_; }

private:
    struct agreement {
        std::uint64_t windowsize = 1;
        std::size_t blksize = blksize_default;
        duration timeout{};
    };

    [[nodiscard]] static agreement read(const oack_view& oack);
    [[nodiscard]] std::uint16_t number_of(std::uint64_t block) const noexcept;
    /// Empty when no block in [first, last] has this number.
    [[nodiscard]] std::optional<std::uint64_t>
    find(std::uint16_t wire, std::uint64_t first, std::uint64_t last) const noexcept;

    void require(bool holds, const char* invariant) noexcept {
        judge_->require(holds || doubtful_, invariant);
    }

    void on_data_sent(const data_view& data, cause why, time_point now);
    void on_ack_sent(const ack_view& ack);
    void on_error_sent(const endpoint& to, const error_view& error);
    void on_data_received(const data_view& data, time_point now);
    void on_ack_received(const ack_view& ack, time_point now);
    void keep_options(const endpoint& from, const oack_view& oack);
    void fix_peer(const endpoint& to);
    [[nodiscard]] bool from_peer(const endpoint& from) const noexcept;

    watch_rules rules_;
    verdict* judge_;
    endpoint peer_;
    /// Where the request of a client went.
    endpoint asked_;
    /// Datagrams that may be answered by an ERROR 5.
    std::vector<endpoint> strangers_;
    /// What those answered whom a client may yet take for its server: the first of each.
    std::vector<std::pair<endpoint, agreement>> offers_;
    agreement agreed_;
    // As the sender of DATA.
    std::uint64_t acked_ = 0;
    std::uint64_t highest_ = 0;
    std::uint64_t last_ = 0;
    std::uint64_t data_sent_ = 0;
    std::uint64_t steps_ = 1;
    time_point sent_at_;
    // As the receiver.
    std::uint64_t got_ = 0;
    std::uint64_t acknowledged_ = 0;
    bool whole_ = false;
    bool writes_ = false;
    bool heard_ = false;
    bool oack_sent_ = false;
    bool error_sent_ = false;
    bool held_up_ = false;
    bool asked_again_ = false;
    bool doubtful_ = false;
    bool over_ = false;
    bool success_ = false;
    time_point progress_at_;
};

} // namespace tftp::sim
