#include "transfer/engine_path.hpp"

#include <tftp/base/error.hpp>

#include <variant>

namespace tftp {

namespace {

namespace conditions = boost::system::errc;

} // namespace

template <class Engine>
void engine_path<Engine>::send(const send_control& control) noexcept {
    error_code failed = state_.port->send(control.to, {}, control.datagram);
    if (!failed || failed == conditions::operation_would_block) {
        // A full buffer is a loss like one on the wire: the engine's timer repeats it.
        return;
    }
    state_.send_error = failed;
    take_refusals();
    if (state_.initiator && engine_.opening()) {
        failed = state_.port->send(control.to, {}, control.datagram);
        if (failed && failed != conditions::operation_would_block) {
            engine_.on_refused(failed);
        }
    }
}

template <class Engine>
void engine_path<Engine>::take_refusals() noexcept {
    while (const auto refused = state_.port->next_refusal()) {
        // A stranger's refusal of our ERROR 5 says nothing about this transfer. That a host is out
        // of reach is a hint only, a route may be changing (RFC 1122 3.2.2.1): once the peer was
        // heard, its silence decides.
        const bool proof = engine_.opening() || refused->why == conditions::connection_refused;
        if (refused->to == engine_.peer() && proof) {
            engine_.on_refused(refused->why);
        }
    }
}

template <class Engine>
bool engine_path<Engine>::end_of_turn(
    const typename Engine::effect& effect, time_point now
) noexcept {
    if (const auto* ended = std::get_if<completed>(&effect)) {
        state_.complete(ended->outcome, now);
        return true;
    }
    if (const auto* waiting = std::get_if<idle>(&effect)) {
        state_.deadline = waiting->deadline;
    } else {
        state_.end.closed = true;
    }
    return false;
}

template class engine_path<sender>;
template class engine_path<receiver>;

} // namespace tftp
