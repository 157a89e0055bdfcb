#pragma once

#include <cstddef>
#include <deque>
#include <sim/wire_watch.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tftp::sim {

/// Who sends and receives through a port.
enum class port_use : std::uint8_t {
    /// One transfer, for as long as the port is open.
    exclusive,
    /// Any number of transfers, one at a time with each peer.
    shared,
    /// Requests and what refuses them: no transfer.
    requests,
};

/// Follows the transfers of a port by its datagrams. Those of a shared one are told apart by their
/// peers alone, so a transfer begins with the first datagram that leaves for its peer.
class port_watch {
public:
    port_watch(const watch_rules& rules, verdict& judge, port_use use, time_point now)
        : rules_(rules), judge_(&judge), use_(use), only_(rules, judge, now) {}

    /// A datagram left, or was lost on the way out as if it had.
    void on_sent(const endpoint& to, bytes_view octets, wire_watch::cause why, time_point now);
    /// The program has acted on all that it was handed.
    void on_acted();
    /// A datagram was handed to the program.
    void on_received(const endpoint& from, bytes_view octets, time_point now);
    /// A request was handed to the program through another port.
    void on_request(const endpoint& from) noexcept;
    /// The socket took less than it was given.
    void on_held_up() noexcept;
    /// The socket refused what it was given.
    void on_refused() noexcept;

    /// The outcome of a request is known, that of a transfer or a refusal. Returns the transfer;
    /// null when none was seen.
    const wire_watch* on_outcome(const endpoint& peer, bool success, time_point now);
    /// The port is closed, or nothing of it is needed any more. Keeps no memory.
    void on_close(time_point now);

    [[nodiscard]] port_use use() const noexcept { return use_; }

    /// Returns the transfer of an exclusive port.
    [[nodiscard]] const wire_watch& only() const noexcept { return only_; }

    /// Returns the peers of its transfers: none, as long as the only one is not known.
    [[nodiscard]] std::vector<endpoint> peers() const;

private:
    struct heard {
        endpoint from;
        std::vector<std::byte> octets;
        time_point at;
    };

    void require(bool holds, const char* invariant) noexcept { judge_->require(holds, invariant); }

    /// Null when no transfer with `peer` is under way.
    [[nodiscard]] wire_watch* running(const endpoint& peer) noexcept;
    [[nodiscard]] wire_watch& sender_of(const endpoint& to, bytes_view octets, time_point now);
    void on_refused_stranger(const endpoint& to);
    [[nodiscard]] bool asks(const endpoint& peer) const;
    [[nodiscard]] bool is_interrupted(const endpoint& peer) const;
    [[nodiscard]] bool next_is_request(const endpoint& peer) const;
    bool hand_over_next(wire_watch& to, const endpoint& peer);
    void hand_over_all(wire_watch& to, const endpoint& peer);

    watch_rules rules_;
    verdict* judge_;
    port_use use_;
    wire_watch only_;
    /// Of a shared port, the newest with each peer.
    std::unordered_map<endpoint, wire_watch> all_;
    /// What the program has read from a shared port and may not have acted on yet: it does so one
    /// by one, and transfers hear of a datagram when what they send shows that it did.
    std::deque<heard> batch_;
    /// Peers that asked for a file in it.
    std::vector<endpoint> asked_;
    /// Who may get an ERROR 5 for what is in it.
    std::vector<endpoint> strangers_;
    bool refuses_ = false;
};

} // namespace tftp::sim
