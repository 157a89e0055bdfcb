#include "server/transfer_starter.hpp"

#include <tftp/file/file_cache.hpp>

#include <cstddef>
#include <utility>

namespace tftp {

namespace {

/// What one upload collects before it is written.
constexpr std::size_t collected_bytes = std::size_t{16} << 10;

} // namespace

void transfer_starter::begin_read(
    const incoming_request& a, grant granted, result<std::shared_ptr<source>> opened
) {
    if (!opened) {
        refuse(a, reason::content, opened.error());
        return;
    }
    transfer_runner& runner = parts_.runner;
    const verdict& decided = granted.decided;
    std::shared_ptr<source> from = std::move(*opened);
    if (auto surplus = from->share(parts_.files.cache()); surplus && from->remote()) {
        runner.dispose(std::move(surplus), from->lane());
    }
    parts_.files.schedule_eviction(a.now);
    answer answered = negotiator_.answer_read(a, decided, from->size());
    if (a.request.mode == transfer_mode::netascii) {
        const std::size_t window =
            std::size_t{answered.agreed.blksize} * answered.agreed.windowsize;
        from = std::make_shared<netascii_source>(std::move(from), window, &runner.buffers());
    }
    opened_port at = open_port(a, {});
    if (!at.port) {
        from->unshare();
        runner.release(from);
        return;
    }
    negotiator_.bound_read(a, decided, at.lent != nullptr, from->size(), answered);
    auto made = std::make_unique<server_transfer>(
        runner,
        setup_for(a, std::move(at.port)),
        sender::respond(answered, a.who.peer, engine_for(a, decided), a.now),
        std::move(from),
        a,
        std::move(granted.permit),
        at
    );
    made->opened_by_data = !answered.needs_oack();
    start(a, decided, answered.agreed, std::move(made));
}

void transfer_starter::begin_write(
    const incoming_request& a, grant granted, result<std::shared_ptr<sink>> opened
) {
    if (!opened) {
        refuse(a, reason::content, opened.error());
        return;
    }
    transfer_runner& runner = parts_.runner;
    const verdict& decided = granted.decided;
    answer answered = negotiator_.answer_write(a, decided);
    std::shared_ptr<sink> into = std::move(*opened);
    if (!into->remote()) {
        into = std::make_shared<buffered_sink>(std::move(into), collected_bytes, &runner.buffers());
    }
    if (a.request.mode == transfer_mode::netascii) {
        into = std::make_shared<netascii_sink>(std::move(into));
    }
    opened_port at = open_port(a, answered.agreed);
    if (!at.port) {
        runner.release(into);
        return;
    }
    negotiator_.bound_write(a, decided, *at.port, at.lent != nullptr, into->remote(), answered);
    auto made = std::make_unique<server_transfer>(
        runner,
        setup_for(a, std::move(at.port)),
        receiver::respond(answered, a.who.peer, engine_for(a, decided), a.now),
        std::move(into),
        a,
        std::move(granted.permit),
        at
    );
    start(a, decided, answered.agreed, std::move(made));
}

void transfer_starter::start(
    const incoming_request& a,
    const verdict& decided,
    const parameters& agreed,
    std::unique_ptr<server_transfer> made
) {
    context_.counters.started.add();
    context_.needs.observer.on_started(event_of(a, decided.rule), agreed);
    parts_.runner.add(std::move(made), a.now);
}

/// Without a port the request is refused.
opened_port
transfer_starter::open_port(const incoming_request& a, const parameters& receives) noexcept {
    auto opened = parts_.ports.open(a, receives);
    if (opened) {
        return std::move(*opened);
    }
    // Nothing the client asked for is wrong. One that never answered may hold what is missing.
    parts_.refuser.refuse(a, reason::no_port, peer_errc::undefined, busy_text, opened.error());
    make_room(a);
    return {};
}

engine_config
transfer_starter::engine_for(const incoming_request& a, const verdict& decided) const noexcept {
    return negotiator_.engine_for(a, decided, parts_.runner.transfers().half_open().size());
}

transfer_setup transfer_starter::setup_for(
    const incoming_request& a, std::unique_ptr<datagram_socket> port
) noexcept {
    return {
        direction_of(a.request),
        a.request.filename,
        a.request.mode,
        std::move(port),
        context_.needs.pool != nullptr ? &parts_.runner : nullptr};
}

void transfer_starter::refuse(
    const incoming_request& a, reason why, const error_code& what
) noexcept {
    const bool exhausted = is_shortage(what);
    parts_.refuser.refuse(a, exhausted ? reason::shortage : why, what);
    if (exhausted) {
        // A client that never answered may hold what is missing; it is given back at the end of
        // this turn.
        make_room(a);
    }
}

/// Descriptors or memory are short.
void transfer_starter::make_room(const incoming_request& a) noexcept {
    parts_.files.clear();
    parts_.room.evict(a.who.peer, a.now);
}

} // namespace tftp
