#pragma once

#include "transfer/transfer_state.hpp"

#include <tftp/base/time.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>

#include <cstdint>

namespace tftp {

/// What both paths of data have: an engine, `sender` or `receiver`, and the port by which its
/// control packets leave.
template <class Engine>
class engine_path {
public:
    engine_path(const engine_path&) = delete;
    engine_path& operator=(const engine_path&) = delete;

    [[nodiscard]] Engine& engine() noexcept { return engine_; }

    [[nodiscard]] const Engine& engine() const noexcept { return engine_; }

    /// Takes the ICMP errors that came back. One of the peer ends the transfer.
    void take_refusals() noexcept;

protected:
    /// state: outlives this.
    engine_path(transfer_state& state, const Engine& engine) noexcept
        : state_(state), engine_(engine) {}

    ~engine_path() = default;

    /// Sends a control packet, best effort.
    void send(const send_control& control) noexcept;

    /// Takes an effect that is neither a packet nor data. Returns true when the engine may have
    /// more to do.
    [[nodiscard]] bool end_of_turn(const typename Engine::effect& effect, time_point now) noexcept;

    /// Returns how many bytes of control packets were sent, with room to spare.
    [[nodiscard]] std::uint64_t control_bytes_sent() const noexcept {
        return (1 + engine_.counters().retransmissions) * control_bytes;
    }

    /// Bytes of an OACK, or an ACK, with room to spare.
    static constexpr std::uint64_t control_bytes = 128;

    transfer_state& state_;
    Engine engine_;
};

extern template class engine_path<sender>;
extern template class engine_path<receiver>;

} // namespace tftp
