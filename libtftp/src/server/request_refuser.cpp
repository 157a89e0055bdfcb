#include "server/request_refuser.hpp"

#include <array>
#include <new>

namespace tftp {

void request_refuser::refuse(
    const incoming_request& a, reason why, const error_code& what
) noexcept {
    const peer_errc code = to_peer_errc(what);
    const bool busy =
        is_shortage(what) || what == errc::overloaded || what == errc::client_overloaded;
    refuse(a, why, code, busy ? busy_text : peer_message(code), what);
}

void request_refuser::refuse(
    const incoming_request& a,
    reason why,
    peer_errc code,
    std::string_view message,
    const error_code& what,
    std::string_view rule
) noexcept {
    context_.counters.count(why);
    context_.needs.observer.on_refused(event_of(a, rule), why, what);
    std::array<std::byte, 128> out{};
    if (const auto size = encode_error(code, message, out)) {
        answer_once(a, bytes_view(out).first(*size));
    }
    report(a, what);
}

void request_refuser::drop(const incoming_request& a, reason why, const error_code& what) noexcept {
    context_.drop(why, a.who.peer, a.who.local);
    report(a, what);
}

/// Best effort: the peer asks again when it is lost.
void request_refuser::answer_once(const incoming_request& a, bytes_view datagram) noexcept {
    const error_code failed = a.port.send(a.who.peer, a.to, datagram);
    if (failed != boost::system::errc::operation_would_block ||
        context_.config().tids == tid_mode::single) {
        return;
    }
    // What waits for others, who may not exist, fills the port: this answer takes another one.
    if (const auto aside = context_.needs.ports.open(a.who.local.with_port(0), {})) {
        static_cast<void>((*aside)->send(a.who.peer, {}, datagram));
    }
}

void request_refuser::report(const incoming_request& a, const error_code& what) noexcept {
    try {
        transfer_summary s;
        s.verb = direction_of(a.request);
        s.peer = a.who.peer;
        s.local = a.who.local;
        s.filename = a.request.filename;
        s.mode = a.request.mode;
        s.outcome = what;
        context_.needs.observer.on_finished(s);
    } catch (const std::bad_alloc&) {
        // The answer is what matters; its line is lost.
    }
}

} // namespace tftp
