#include "server/service_internal.hpp"
#include "server/shrink_table.hpp"

#include <tftp/base/assert.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <malloc.h>
#include <new>
#include <system_error>
#include <utility>

namespace tftp {

namespace {

/// So many transfers at once are out of the ordinary.
constexpr std::size_t crowd = 512;

/// A file is kept for one to two of these after its last transfer.
constexpr auto kept_interval = std::chrono::milliseconds(2500);

/// More than this is unmapped by the pool: it takes longer than 0.2 ms.
constexpr std::size_t unmapped_here_max = std::size_t{16} << 20;

} // namespace

service::service(const service_dependencies& parts, const service_config& config, time_point now)
    : parts_(parts),
      config_(config),
      own_admission_(
          parts.admission != nullptr ? nullptr : std::make_unique<admission>(config.limits)
      ),
      admission_(parts.admission != nullptr ? *parts.admission : *own_admission_),
      pace_(config.limits.requests_per_second, now),
      opening_(0, key_hash{admission_.seed()}),
      transfers_(0, key_hash{admission_.seed()}),
      pairs_(0, key_hash{admission_.seed()}),
      random_(static_cast<std::minstd_rand::result_type>(admission_.seed())),
      half_open_(admission_.seed()),
      now_(now),
      wheel_(now) {
    if (parts_.pool == nullptr) {
        return;
    }
    auto queue = completion_queue::create();
    if (!queue) {
        throw std::system_error(queue.error());
    }
    completions_ = std::move(*queue);
    completion_events_ = std::make_unique<completion_events>(*this);
    const interest wanted{completions_->native_handle(), true, false};
    if (const error_code failed = parts_.loop.watch(wanted, *completion_events_)) {
        throw std::system_error(failed);
    }
}

service::~service() {
    close_listeners();
    for (const auto& l : listeners_) {
        parts_.loop.unwatch(l->port->native_handle());
    }
    for (const auto& each : shared_) {
        parts_.loop.unwatch(each->port->native_handle());
    }
    for (auto& [who, s] : transfers_) {
        if (s->watching.fd != -1) {
            parts_.loop.unwatch(s->watching.fd);
        }
    }
    if (completions_) {
        parts_.loop.unwatch(completions_->native_handle());
    }
}

error_code service::listen(std::unique_ptr<datagram_socket> port) {
    auto added = std::make_unique<listener>(*this, std::move(port));
    if (const error_code failed = watch(*added)) {
        return failed;
    }
    listeners_.push_back(std::move(added));
    return {};
}

void service::close_listeners() noexcept {
    accepting_ = false;
    // Those that transfers use stay to the end, even when this service has none left: were they
    // closed, the kernel would spread the clients of other services of the port anew.
    if (config_.tids != tid_mode::single) {
        for (const auto& l : listeners_) {
            parts_.loop.unwatch(l->port->native_handle());
        }
        listeners_.clear();
    }
    // They would begin transfers.
    for (const auto& [who, job] : opening_) {
        job->cancel();
    }
    opening_.clear();
    held_.clear();
}

void service::completion_events::on_event(bool, bool, time_point now) noexcept {
    owner.now_ = now;
    owner.completions_->drain();
}

void service::shared::on_event(bool readable, bool writable, time_point now) noexcept {
    if (readable) {
        owner.on_shared(*this, now);
    }
    if (writable) {
        owner.on_writable(*this, now);
    }
}

void service::listener::on_event(bool readable, bool writable, time_point now) noexcept {
    if (readable) {
        owner.on_requests(*this, now);
    }
    if (writable) {
        owner.on_writable(*this, now);
    }
}

void service::server_transfer::on_event(bool readable, bool writable, time_point now) noexcept {
    if (closed()) {
        return;
    }
    if (readable) {
        on_readable(owner.memory_, now);
    }
    if (writable && !closed()) {
        on_writable(owner.memory_, now);
    }
    owner.update(*this, now);
}

/// Looks for what has come to a transfer since it was read last. Returns false when there was
/// nothing.
bool service::poll_again(server_transfer& s, time_point now) noexcept {
    if (s.closed() || !s.watching.read) {
        return false;
    }
    const bool any = s.on_readable(memory_, now);
    update(s, now);
    return any;
}

void service::step(time_point now) noexcept {
    take_requests(now);
    if (deadline_ && *deadline_ <= now) {
        expire(now);
    }
    reap();
    deadline_ = earlier(earlier(wheel_.next(), held_.due()), earlier(resuming_at_, cache_aging_));
}

void service::expire(time_point now) noexcept {
    if (resuming_at_ && *resuming_at_ <= now) {
        resume_ports(now);
    }
    if (cache_aging_ && *cache_aging_ <= now) {
        evict_idle_files();
        cache_aging_.reset();
        schedule_eviction(now);
    }
    take_held(now);
    wheel_.expire(now, [&](timer_entry& entry) -> std::optional<time_point> {
        auto& s = static_cast<server_transfer&>(entry);
        if (s.deadline() && *s.deadline() <= now) {
            // In a crowd the answer may be there and not yet looked at.
            static_cast<void>(poll_again(s, now));
            if (!s.closed()) {
                note_silence(s, now);
                s.on_deadline(memory_, now);
                update(s, now);
            }
        }
        return s.closed() ? std::nullopt : s.deadline();
    });
}

void service::reap() noexcept {
    for (const auto& s : ended_) {
        s->release_file();
    }
    const bool ended = !ended_.empty();
    ended_.clear();
    if (ended || pairs_.empty()) {
        close_unused();
    }
    // A crowd leaves free memory behind that the allocator would keep for ever. Given back each
    // time that half of it has gone: there may always be somebody.
    if (transfers_.size() >= crowd) {
        trim_below_ = crowd / 2;
    } else if (transfers_.size() < trim_below_) {
        trim_below_ = (transfers_.size() + 1) / 2;
        ended_.shrink_to_fit();
        shrink_table(transfers_);
        shrink_table(opening_);
        shrink_table(pairs_);
        half_open_.shrink();
        ::malloc_trim(0);
    }
}

/// Has files that are kept looked through again.
void service::schedule_eviction(time_point now) noexcept {
    if (!cache_aging_ && cache_.size() != 0) {
        cache_aging_ = now + kept_interval;
    }
}

void service::evict_idle_files() noexcept {
    const std::size_t before = cache_.size();
    cache_.age([this](auto file) { close_file(std::move(file)); });
    if (cache_.size() < before) {
        // The allocator would keep what was read ahead.
        ::malloc_trim(0);
    }
}

void service::close_file(std::shared_ptr<const opened_file> file) noexcept {
    if (parts_.pool != nullptr && file->map().mapped() > unmapped_here_max) {
        dispose(std::move(file), 0);
    }
}

bool service::offload(std::unique_ptr<blocking_job> job, queueing how) noexcept {
    return parts_.pool != nullptr && parts_.pool->submit(std::move(job), *completions_, how);
}

memory_budget& service::buffers() noexcept {
    return admission_.buffers();
}

void service::dispose(std::shared_ptr<const void> content, std::uint64_t lane) noexcept {
    std::unique_ptr<blocking_job> job(new (std::nothrow) dispose_job(std::move(content), lane));
    // Without any thread it happens here: nothing may leak.
    static_cast<void>(job && offload(std::move(job), queueing::always));
}

void service::resumed(transfer& owner) noexcept {
    auto& s = static_cast<server_transfer&>(owner);
    s.on_resumed(memory_, now_);
    update(s, now_);
}

void service::update(server_transfer& s, time_point now) noexcept {
    if (s.half_open.linked()) {
        note_answer(s, now);
    }
    if (s.completed() && !s.reported) {
        s.reported = true;
        --running_;
        try {
            parts_.observer.on_finished(s.summary());
        } catch (const std::bad_alloc&) {
            // The transfer is what matters; its line is lost.
        }
    }
    if (s.closed()) {
        remove(s);
        admission_.forget_idle(now);
        return;
    }
    const interest wanted = s.wants();
    if (s.lent != nullptr) {
        wait_for_room(s, wanted.write);
    } else if (wanted != s.watching) {
        const error_code failed = parts_.loop.watch(wanted, s);
        if (!failed) {
            s.watching = wanted;
        } else if (!s.committing()) {
            give_up(s, failed, now);
            return;
        }
        // A commit decides by itself how the transfer ends, and it is watched again then.
    }
    if (const auto due = s.deadline()) {
        wheel_.schedule(s, *due);
    }
}

/// Ends a transfer that cannot hear its peer any more.
void service::give_up(server_transfer& s, const error_code& why, time_point now) noexcept {
    s.abort(peer_errc::undefined, peer_message(peer_errc::undefined), why, memory_, now);
    // One that only repeats its last ACK has nothing to abort.
    s.drop(why, memory_, now);
    TFTP_ASSERT(s.closed());
    update(s, now);
}

void service::remove(server_transfer& s) noexcept {
    wheel_.cancel(s);
    const auto [first, last] = transfers_.equal_range(s.who);
    const auto found =
        std::find_if(first, last, [&s](const auto& each) { return each.second.get() == &s; });
    if (found == last) {
        return;
    }
    untie(s);
    if (s.watching.fd != -1) {
        parts_.loop.closing(s.watching.fd);
    }
    if (s.lent != nullptr) {
        wait_for_room(s, false);
        pairs_.erase({s.who.peer, s.lent->local_endpoint()});
    }
    s.place = {};
    // Room was reserved when it began, so this cannot throw.
    ended_.push_back(std::move(found->second));
    transfers_.erase(found);
}

void service::add(std::unique_ptr<server_transfer> made, time_point now) {
    // Room for all to end in one turn, so that remove() never allocates.
    const std::size_t room = ended_.size() + transfers_.size() + 1;
    if (ended_.capacity() < room) {
        ended_.reserve(2 * room);
    }
    server_transfer& s = *made;
    // Memory first: what is in the table has its place in the others, too, and is started.
    server_transfer* const holder = holder_of(s.who);
    const auto added = transfers_.emplace(s.who, std::move(made));
    try {
        half_open_.add(s, s.half_open, s.who.peer);
        if (s.lent != nullptr) {
            pairs_.emplace(key{s.who.peer, s.lent->local_endpoint()}, &s);
        }
    } catch (const std::bad_alloc&) {
        half_open_.remove(s.half_open);
        transfers_.erase(added);
        throw;
    }
    tie(s, holder, now);
    ++running_;
    s.start(memory_, now);
    update(s, now);
}

void service::abort_all(time_point now) {
    // update() takes ended transfers out of the table, so walk a list of those that run.
    std::vector<server_transfer*> running;
    running.reserve(transfers_.size());
    for (const auto& [who, s] : transfers_) {
        running.push_back(s.get());
    }
    for (server_transfer* const s : running) {
        s->abort(peer_errc::undefined, "server is stopping", errc::stopped, memory_, now);
        update(*s, now);
    }
}

} // namespace tftp
