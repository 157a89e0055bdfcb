#include "server/transfer_runner.hpp"

#include "server/shared_port.hpp"

#include <tftp/base/assert.hpp>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace tftp {

namespace {

/// So many transfers at once are out of the ordinary.
constexpr std::size_t crowd = 512;

/// Destroys the file of a transfer that is over where that may wait.
class dispose_job final : public blocking_job {
public:
    dispose_job(std::shared_ptr<const void> content, std::uint64_t lane) noexcept
        : blocking_job(lane), content_(std::move(content)) {}

    void run() noexcept override { content_.reset(); }

    void done() noexcept override {}

private:
    std::shared_ptr<const void> content_;
};

/// Returns true when what a peer answers first shows that it was asked for something itself: an
/// OACK; or ACK 0, which accepts a write, for the DATA that answered its read.
[[nodiscard]] bool shows_server(const received& message, bool opened_by_data) noexcept {
    const auto packet =
        decode(message.bytes.first(std::min(message.segment, message.bytes.size())));
    if (!packet) {
        return false;
    }
    const auto* const ack = std::get_if<ack_view>(&*packet);
    return std::holds_alternative<oack_view>(*packet) ||
           (ack != nullptr && ack->block == 0 && opened_by_data);
}

} // namespace

void server_transfer::on_event(bool readable, bool writable, time_point now) noexcept {
    owner.on_event(*this, readable, writable, now);
}

bool server_transfer::poll_again(time_point now) noexcept {
    return owner.poll_again(*this, now);
}

transfer_runner::transfer_runner(shard_context& context, held_requests& held, time_point now)
    : context_(context), held_(held), table_(context.admission.seed()), wheel_(now) {
    completion_events_.now = now;
    if (context_.needs.pool == nullptr) {
        return;
    }
    auto queue = completion_queue::create();
    if (!queue) {
        throw std::system_error(queue.error());
    }
    completion_events_.queue = std::move(*queue);
    const interest wanted{completion_events_.queue->native_handle(), true, false};
    if (const error_code failed = context_.needs.loop.watch(wanted, completion_events_)) {
        throw std::system_error(failed);
    }
}

transfer_runner::~transfer_runner() {
    table_.for_each([this](const server_transfer& t) {
        if (t.watching.fd != -1) {
            context_.needs.loop.unwatch(t.watching.fd);
        }
    });
    if (completion_events_.queue) {
        context_.needs.loop.unwatch(completion_events_.queue->native_handle());
    }
}

void transfer_runner::completion_events::on_event(bool, bool, time_point at) noexcept {
    now = at;
    queue->drain();
}

void transfer_runner::add(std::unique_ptr<server_transfer> made, time_point now) {
    // Memory first: what is in the table has its place in the others, too, and is started.
    server_transfer* const holder = table_.holder_of(made->who);
    server_transfer& t = table_.add(std::move(made));
    tie(t, holder, now);
    ++running_;
    t.start(context_.memory, now);
    update(t, now);
}

void transfer_runner::on_event(
    server_transfer& t, bool readable, bool writable, time_point now
) noexcept {
    if (t.closed()) {
        return;
    }
    if (readable) {
        t.on_readable(context_.memory, now);
    }
    if (writable && !t.closed()) {
        t.on_writable(context_.memory, now);
    }
    update(t, now);
}

void transfer_runner::on_room(server_transfer& t, time_point now) noexcept {
    t.on_writable(context_.memory, now);
    update(t, now);
}

void transfer_runner::on_packets(
    server_transfer& t, std::span<const received> messages, time_point now
) noexcept {
    if (t.half_open.linked() && t.opening() && shows_server(messages.front(), t.opened_by_data)) {
        // Somebody has set two servers upon each other. No ERROR: it would be answered, perhaps.
        drop(t, errc::not_a_client, now);
        return;
    }
    t.lent->put(messages);
    while (!t.lent->empty() && t.wants().read && !t.closed()) {
        t.on_readable(context_.memory, now);
    }
    // What it does not take, because it writes elsewhere, is lost as on the wire.
    t.lent->drop();
    update(t, now);
}

void transfer_runner::on_repeated_request(server_transfer& t, time_point now) noexcept {
    t.on_repeated_request(context_.memory, now);
    update(t, now);
}

bool transfer_runner::poll_again(server_transfer& t, time_point now) noexcept {
    if (t.closed() || !t.watching.read) {
        return false;
    }
    const bool any = t.on_readable(context_.memory, now);
    update(t, now);
    return any;
}

void transfer_runner::drop(server_transfer& t, const error_code& why, time_point now) noexcept {
    t.drop(why, context_.memory, now);
    update(t, now);
}

void transfer_runner::abort_all(time_point now) {
    // update() takes ended transfers out of the table, so walk a list of those that run.
    std::vector<server_transfer*> running;
    running.reserve(table_.size());
    table_.for_each([&running](server_transfer& t) { running.push_back(&t); });
    for (server_transfer* const t : running) {
        t->abort(peer_errc::undefined, "server is stopping", errc::stopped, context_.memory, now);
        update(*t, now);
    }
}

void transfer_runner::expire(time_point now) noexcept {
    wheel_.expire(now, [&](timer_entry& entry) -> std::optional<time_point> {
        auto& t = static_cast<server_transfer&>(entry);
        if (t.deadline() && *t.deadline() <= now) {
            // In a crowd the answer may be there and not yet looked at.
            static_cast<void>(poll_again(t, now));
            if (!t.closed()) {
                note_silence(t, now);
                t.on_deadline(context_.memory, now);
                update(t, now);
            }
        }
        return t.closed() ? std::nullopt : t.deadline();
    });
}

bool transfer_runner::destroy_ended() noexcept {
    return table_.destroy_ended([](server_transfer& t) { t.release_file(); });
}

bool transfer_runner::wants_trim() noexcept {
    // A crowd leaves free memory behind that the allocator would keep for ever. Given back each
    // time that half of it has gone: there may always be somebody.
    if (table_.size() >= crowd) {
        trim_below_ = crowd / 2;
        return false;
    }
    if (table_.size() >= trim_below_) {
        return false;
    }
    trim_below_ = (table_.size() + 1) / 2;
    return true;
}

bool transfer_runner::offload(std::unique_ptr<blocking_job> job, queueing how) noexcept {
    job_runner* const pool = context_.needs.pool;
    return pool != nullptr && pool->submit(std::move(job), *completion_events_.queue, how);
}

void transfer_runner::resumed(transfer& owner) noexcept {
    auto& t = static_cast<server_transfer&>(owner);
    t.on_resumed(context_.memory, now());
    update(t, now());
}

memory_budget& transfer_runner::buffers() noexcept {
    return context_.admission.buffers();
}

void transfer_runner::dispose(std::shared_ptr<const void> content, std::uint64_t lane) noexcept {
    std::unique_ptr<blocking_job> job(new (std::nothrow) dispose_job(std::move(content), lane));
    // Without any thread it happens here: nothing may leak.
    static_cast<void>(job && offload(std::move(job), queueing::always));
}

/// A transfer was told something: does what follows from that.
void transfer_runner::update(server_transfer& t, time_point now) noexcept {
    if (t.half_open.linked()) {
        note_answer(t, now);
    }
    if (t.completed() && !t.reported) {
        report(t);
    }
    if (t.closed()) {
        remove(t);
        context_.admission.forget_idle(now);
        return;
    }
    watch(t, now);
}

/// Watches what it waits for: its port, room in a shared one, its deadline.
void transfer_runner::watch(server_transfer& t, time_point now) noexcept {
    const interest wanted = t.wants();
    if (t.lent != nullptr) {
        t.behind->wait_for_room(t, wanted.write);
    } else if (wanted != t.watching) {
        const error_code failed = context_.needs.loop.watch(wanted, t);
        if (!failed) {
            t.watching = wanted;
        } else if (!t.committing()) {
            give_up(t, failed, now);
            return;
        }
        // A commit decides by itself how the transfer ends, and it is watched again then.
    }
    if (const auto due = t.deadline()) {
        wheel_.schedule(t, *due);
    }
}

void transfer_runner::report(server_transfer& t) noexcept {
    t.reported = true;
    --running_;
    shard_counters& counters = context_.counters;
    (t.failed() ? counters.failed : counters.succeeded).add();
    counters.retransmissions.add(t.counters().retransmissions);
    const bool sends = t.direction == transfer_direction::read;
    (sends ? counters.bytes_sent : counters.bytes_received).add(t.counters().bytes);
    try {
        context_.needs.observer.on_finished(t.summary());
    } catch (const std::bad_alloc&) {
        // The transfer is what matters; its line is lost.
    }
}

/// Ends a transfer that cannot hear its peer any more.
void transfer_runner::give_up(server_transfer& t, const error_code& why, time_point now) noexcept {
    t.abort(peer_errc::undefined, peer_message(peer_errc::undefined), why, context_.memory, now);
    // One that only repeats its last ACK has nothing to abort.
    t.drop(why, context_.memory, now);
    TFTP_ASSERT(t.closed());
    update(t, now);
}

void transfer_runner::remove(server_transfer& t) noexcept {
    wheel_.cancel(t);
    if (!table_.remove(t)) {
        return;
    }
    untie(t);
    if (t.watching.fd != -1) {
        context_.needs.loop.closing(t.watching.fd);
    }
    if (t.lent != nullptr) {
        t.behind->wait_for_room(t, false);
    }
    t.permit = {};
}

/// A half-open transfer was looked at: it may have been answered.
void transfer_runner::note_answer(server_transfer& t, time_point now) noexcept {
    if (t.opening()) {
        t.opening_at = now;
        if (!t.closed()) {
            return;
        }
    }
    if (!t.opening() && !t.failed() && t.holder != nullptr) {
        server_transfer& old = *t.holder;
        untie(old);
        // No ERROR: it would hit the new transfer.
        drop(old, errc::superseded, now);
    }
    const bool acknowledged = t.acknowledged() && !t.failed();
    if (!acknowledged && !t.closed()) {
        return;
    }
    table_.half_open().remove(t.half_open);
    if (!acknowledged) {
        charge(t, now);
    } else if (t.charged != 0) {
        context_.admission.credit(t.who.peer, t.charged);
    }
}

/// Notes what its client was sent and has not acknowledged.
void transfer_runner::charge(server_transfer& t, time_point now) noexcept {
    // Openings are counted more generously than the DATA that follows them.
    if (const std::uint64_t sent = t.bytes_sent(); sent > t.charged) {
        context_.admission.charge(t.who.peer, sent - t.charged, now);
        t.charged = sent;
    }
}

void transfer_runner::note_silence(server_transfer& t, time_point now) noexcept {
    if (const std::uint64_t bytes = t.counters().bytes; bytes != t.marked_bytes) {
        t.marked_bytes = bytes;
        t.marked_at = now;
    }
    if (t.half_open.linked()) {
        charge(t, now);
    }
}

/// Has a transfer that was just made wait for the place of the one before it.
void transfer_runner::tie(server_transfer& rival, server_transfer* old, time_point now) noexcept {
    if (old == nullptr) {
        return;
    }
    if (server_transfer* const before = old->rival) {
        drop(*before, errc::superseded, now);
    }
    old->rival = &rival;
    rival.holder = old;
}

void transfer_runner::untie(server_transfer& t) noexcept {
    if (t.rival != nullptr) {
        t.rival->holder = nullptr;
    }
    if (t.holder != nullptr) {
        t.holder->rival = nullptr;
    }
    t.rival = nullptr;
    t.holder = nullptr;
    if (held_.size() != 0 && t.counters().bytes != t.marked_bytes) {
        // Its client was there after the request came.
        if (held_.forget(t.who.peer, t.who.local)) {
            context_.drop(reason::overtaken, t.who.peer, t.who.local);
        }
    }
}

} // namespace tftp
