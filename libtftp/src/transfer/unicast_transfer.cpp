#include "transfer/transfer_jobs.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/transfer/make_transfer.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

namespace tftp {

namespace {

namespace conditions = boost::system::errc;

/// Doubled each time, so that those that wait for a stalled disk cost little.
constexpr auto pool_wait_min = std::chrono::milliseconds(10);
constexpr unsigned pool_wait_doublings_max = 6;

/// Largest payload of UDP over IPv4, and so of one segmented send.
constexpr std::size_t run_bytes_max = 65507;

/// ACKs come one a window, a few when gaps are reported.
constexpr std::size_t sender_messages_max = 8;

[[nodiscard]] std::uint16_t run_max_for(std::size_t blksize) noexcept {
    const std::size_t fit = run_bytes_max / (blksize + header_size);
    return static_cast<std::uint16_t>(std::clamp<std::size_t>(fit, 1, scratch::segments_max));
}

} // namespace

unicast_transfer::unicast_transfer(
    transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
)
    : engine_(engine),
      port_(std::move(setup.port)),
      source_(std::move(from)),
      host_(setup.host),
      filename_(setup.filename),
      mode_(setup.mode),
      verb_(setup.verb),
      started_(now),
      ended_(now) {
    if (const auto size = source_->size()) {
        std::get_if<sender>(&engine_)->on_source_end(*size);
    }
}

unicast_transfer::unicast_transfer(
    transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
)
    : engine_(engine),
      port_(std::move(setup.port)),
      sink_(std::move(into)),
      host_(setup.host),
      filename_(setup.filename),
      mode_(setup.mode),
      verb_(setup.verb),
      started_(now),
      ended_(now) {}

unicast_transfer::~unicast_transfer() {
    if (job_ != nullptr) {
        static_cast<void>(job_->forget_owner());
    }
}

void unicast_transfer::start(scratch& memory, time_point now) noexcept {
    act(memory, now);
}

bool unicast_transfer::on_readable(scratch& memory, time_point now) noexcept {
    if (writing_ || resting_) {
        return false;
    }
    if (writes_elsewhere() && !start_collecting()) {
        pause(now);
        return false;
    }
    const auto messages = port_->receive_batch(memory, messages_max());
    const bool any = messages && !messages->empty();
    if (!any) {
        // An ICMP error makes the port readable too.
        take_refusals();
        if (!messages && is_shortage(messages.error())) {
            // It would be readable again at once.
            pause(now);
            return false;
        }
    } else {
        pool_waits_ = 0;
        for (const received& message : *messages) {
            feed(message, memory, now);
        }
        answered_ = answered_ || !opening();
    }
    flush(memory, now);
    return any;
}

void unicast_transfer::on_writable(scratch& memory, time_point now) noexcept {
    act(memory, now);
}

void unicast_transfer::pause(time_point now) noexcept {
    resting_ = true;
    wait_for_pool(now);
}

void unicast_transfer::wait_for_pool(time_point now) noexcept {
    deadline_ = now + pool_wait_min * (1U << pool_waits_);
    pool_waits_ = static_cast<std::uint8_t>(std::min(pool_waits_ + 1U, pool_wait_doublings_max));
}

void unicast_transfer::on_deadline(scratch& memory, time_point now) noexcept {
    with_engine([now](auto& engine) { engine.on_deadline(now); });
    act(memory, now);
}

void unicast_transfer::on_resumed(scratch& memory, time_point now) noexcept {
    if (const auto outcome = std::exchange(sink_outcome_, std::nullopt)) {
        auto& receiving = *std::get_if<receiver>(&engine_);
        if (std::exchange(writing_, false)) {
            finish_write(receiving, *outcome, now);
        } else {
            finish_commit(receiving, *outcome, now);
        }
    }
    act(memory, now);
}

void unicast_transfer::on_repeated_request(scratch& memory, time_point now) noexcept {
    with_engine([](auto& engine) { engine.on_repeated_request(); });
    act(memory, now);
}

void unicast_transfer::abort(
    peer_errc code, std::string_view message, const error_code& why, scratch& memory, time_point now
) noexcept {
    with_engine([&](auto& engine) { engine.abort(code, message, why); });
    act(memory, now);
}

void unicast_transfer::drop(const error_code& why, scratch& memory, time_point now) noexcept {
    with_engine([&](auto& engine) { engine.on_refused(why); });
    act(memory, now);
}

void unicast_transfer::feed(const received& message, scratch& memory, time_point now) noexcept {
    message.for_each_datagram([&](bytes_view datagram) {
        if (closed_) {
            return;
        }
        if (auto* sending = std::get_if<sender>(&engine_)) {
            // One run answers the whole batch: see flush.
            sending->on_datagram(datagram, message.from, now);
        } else {
            auto& receiving = *std::get_if<receiver>(&engine_);
            receiving.on_datagram(datagram, message.from, now);
            act(receiving, memory, now);
        }
    });
}

void unicast_transfer::flush(scratch& memory, time_point now) noexcept {
    auto batch = std::exchange(collecting_, std::nullopt);
    if (closed_) {
        // The peer gave up in the batch that brought its last block: nothing is committed.
        return;
    }
    if (auto* receiving = std::get_if<receiver>(&engine_)) {
        if (batch && batch->offset) {
            start_write(*receiving, std::move(*batch));
        } else {
            write_pending(*receiving, memory);
            stored(*receiving, now);
        }
    }
    act(memory, now);
}

void unicast_transfer::stored(receiver& engine, time_point now) noexcept {
    if (pending_last_) {
        pending_last_ = false;
        commit(engine, now);
    } else if (!engine.whole()) {
        engine.on_stored(now);
    }
}

void unicast_transfer::act(scratch& memory, time_point now) noexcept {
    // What comes next sets another deadline.
    resting_ = false;
    with_engine([&](auto& engine) { act(engine, memory, now); });
}

void unicast_transfer::act(sender& engine, scratch& memory, time_point now) noexcept {
    want_write_ = false;
    const std::uint16_t run_max = run_max_for(engine.agreed().blksize);
    bool go_on = !closed_;
    while (go_on) {
        const sender::effect effect = engine.next(run_max);
        if (const auto* run = std::get_if<send_data>(&effect)) {
            go_on = send_run(engine, *run, memory, now);
        } else if (const auto* control = std::get_if<send_control>(&effect)) {
            send_datagram(*control);
        } else {
            go_on = end_of_turn(effect, now);
        }
    }
}

void unicast_transfer::act(receiver& engine, scratch& memory, time_point now) noexcept {
    bool go_on = !closed_;
    while (go_on) {
        const receiver::effect effect = engine.next();
        if (const auto* content = std::get_if<store>(&effect)) {
            take(engine, *content, memory);
        } else if (const auto* control = std::get_if<send_control>(&effect)) {
            send_datagram(*control);
        } else {
            go_on = end_of_turn(effect, now);
        }
    }
}

template <class Effect>
bool unicast_transfer::end_of_turn(const Effect& effect, time_point now) noexcept {
    if (const auto* ended = std::get_if<tftp::completed>(&effect)) {
        on_completed(ended->outcome, now);
        return true;
    }
    if (const auto* waiting = std::get_if<idle>(&effect)) {
        deadline_ = waiting->deadline;
    } else {
        closed_ = true;
    }
    return false;
}

void unicast_transfer::take(receiver& engine, const store& effect, scratch& memory) noexcept {
    if (collecting_) {
        collect(engine, effect);
        return;
    }
    if (pending_count_ == 0) {
        pending_offset_ = effect.offset;
    }
    pending_last_ = effect.last;
    if (!effect.payload.empty()) {
        // writev takes pointers to mutable bytes; a sink only reads them.
        auto* const bytes = const_cast<std::byte*>(effect.payload.data());
        memory.vectors()[pending_count_] = {bytes, effect.payload.size()};
        ++pending_count_;
    }
    if (pending_count_ == scratch::segments_max) {
        write_pending(engine, memory);
    }
}

void unicast_transfer::write_pending(receiver& engine, scratch& memory) noexcept {
    error_code failed;
    if (const auto size = size_to_reserve(engine)) {
        failed = sink_->reserve(*size);
    }
    if (!failed && pending_count_ != 0) {
        failed = sink_->write(pending_offset_, memory.vectors().first(pending_count_));
    }
    pending_count_ = 0;
    if (failed) {
        write_failed(engine, failed);
    }
}

std::optional<std::uint64_t> unicast_transfer::size_to_reserve(const receiver& engine) noexcept {
    if (reserved_ || !engine.settled()) {
        return std::nullopt;
    }
    reserved_ = true;
    return mode_ == transfer_mode::octet ? engine.agreed().tsize : std::nullopt;
}

void unicast_transfer::write_failed(receiver& engine, const error_code& why) noexcept {
    pending_last_ = false;
    const peer_errc code = to_peer_errc(why);
    engine.abort(code, peer_message(code), why);
}

bool unicast_transfer::writes_elsewhere() const noexcept {
    return host_ != nullptr && sink_ && sink_->remote();
}

bool unicast_transfer::start_collecting() noexcept {
    const std::size_t room =
        agreed().windowsize == 1 ? agreed().blksize : messages_max() * scratch::slot_size;
    budget_share share(host_->buffers(), room, budget_use::writing, sink_->lane());
    if (!share.held()) {
        return false;
    }
    pool_waits_ = 0;
    collecting_.emplace().share = std::move(share);
    return true;
}

void unicast_transfer::collect(receiver& engine, const store& effect) noexcept {
    pending_last_ = effect.last;
    if (!collecting_->offset) {
        collecting_->offset = effect.offset;
    }
    auto& bytes = collecting_->bytes;
    try {
        bytes.insert(bytes.end(), effect.payload.begin(), effect.payload.end());
    } catch (const std::bad_alloc&) {
        write_failed(engine, make_error_code(conditions::not_enough_memory));
    }
}

void unicast_transfer::start_write(receiver& engine, write_batch batch) noexcept {
    batch.share.shrink(batch.bytes.size());
    writing_ = hand_over<write_job>(queueing::always, std::move(batch), size_to_reserve(engine));
    if (!writing_) {
        write_failed(engine, errc::overloaded);
    }
}

void unicast_transfer::finish_write(
    receiver& engine, const error_code& outcome, time_point now
) noexcept {
    if (outcome) {
        write_failed(engine, outcome);
    } else {
        stored(engine, now);
    }
}

void unicast_transfer::commit(receiver& engine, time_point now) noexcept {
    engine.on_commit_begun();
    if (host_ != nullptr && hand_over<commit_job>(queueing::always)) {
        // What it holds goes with the commit: only the port is needed from here on.
        host_->release(sink_);
        return;
    }
    const bool waits = host_ != nullptr && sink_->remote();
    const error_code outcome = waits ? make_error_code(errc::overloaded) : sink_->commit();
    if (!waits) {
        sink_.reset();
    }
    finish_commit(engine, outcome, now);
}

void unicast_transfer::finish_commit(
    receiver& engine, const error_code& outcome, time_point now
) noexcept {
    if (outcome) {
        const peer_errc code = to_peer_errc(outcome);
        engine.on_commit_failed(code, peer_message(code), outcome);
    } else {
        engine.on_stored(now);
    }
}

void unicast_transfer::send_datagram(const send_control& control) noexcept {
    error_code failed = port_->send(control.to, {}, control.datagram);
    if (!failed || failed == conditions::operation_would_block) {
        // A full buffer is a loss like one on the wire: the engine's timer repeats it.
        return;
    }
    send_error_ = failed;
    take_refusals();
    if (initiator() && opening()) {
        failed = port_->send(control.to, {}, control.datagram);
        if (failed && failed != conditions::operation_would_block) {
            drop_engine(failed);
        }
    }
}

void unicast_transfer::drop_engine(const error_code& why) noexcept {
    with_engine([&](auto& engine) { engine.on_refused(why); });
}

void unicast_transfer::take_refusals() noexcept {
    while (const auto refused = port_->next_refusal()) {
        // A stranger's refusal of our ERROR 5 says nothing about this transfer. That a host is out
        // of reach is a hint only, a route may be changing (RFC 1122 3.2.2.1): once the peer was
        // heard, its silence decides.
        const bool proof = opening() || refused->why == conditions::connection_refused;
        if (refused->to == peer() && proof) {
            drop_engine(refused->why);
        }
    }
}

bool unicast_transfer::initiator() const noexcept {
    return (verb_ == transfer_direction::read) == std::holds_alternative<receiver>(engine_);
}

void unicast_transfer::on_completed(const error_code& outcome, time_point now) noexcept {
    completed_ = true;
    // Nothing was sent for so long that the peer had nothing to answer.
    const bool ours = outcome == errc::timed_out && job_ != nullptr;
    outcome_ = ours ? make_error_code(errc::stalled) : outcome;
    ended_ = now;
}

std::size_t unicast_transfer::messages_max() const noexcept {
    if (agreed().windowsize == 1) {
        return 1;
    }
    return std::holds_alternative<sender>(engine_) ? sender_messages_max : scratch::receive_slots;
}

interest unicast_transfer::wants() const noexcept {
    return {port_->native_handle(), !writing_ && !resting_, want_write_};
}

bool unicast_transfer::committing() const noexcept {
    const auto* const receiving = std::get_if<receiver>(&engine_);
    return receiving != nullptr && receiving->committing();
}

bool unicast_transfer::opening() const noexcept {
    return with_engine([](const auto& engine) { return engine.opening(); });
}

const endpoint& unicast_transfer::peer() const noexcept {
    return with_engine([](const auto& engine) -> const endpoint& { return engine.peer(); });
}

const engine_counters& unicast_transfer::counters() const noexcept {
    return with_engine([](const auto& engine) -> const engine_counters& {
        return engine.counters();
    });
}

std::uint64_t unicast_transfer::bytes_sent() const noexcept {
    /// An OACK, or an ACK, with room to spare.
    constexpr std::uint64_t control = 128;
    const engine_counters& c = counters();
    if (!std::holds_alternative<sender>(engine_) || c.blocks == 0) {
        return (1 + c.retransmissions) * control;
    }
    const std::uint64_t blksize = agreed().blksize;
    const std::uint64_t block = std::min(blksize, source_->size().value_or(blksize));
    return control + (c.blocks + c.retransmissions) * (block + header_size);
}

const parameters& unicast_transfer::agreed() const noexcept {
    return with_engine([](const auto& engine) -> const parameters& { return engine.agreed(); });
}

void unicast_transfer::release_file() noexcept {
    if (source_) {
        source_->unshare();
    }
    if (host_ != nullptr) {
        host_->release(source_);
        host_->release(sink_);
    }
}

transfer_summary unicast_transfer::summary() const {
    transfer_summary s;
    s.verb = verb_;
    s.peer = peer();
    s.local = port_->local_endpoint();
    s.filename = filename_;
    s.mode = mode_;
    s.asked = std::visit([](const auto& engine) { return engine.offered(); }, engine_);
    s.agreed = agreed();
    s.counters = counters();
    s.elapsed = ended_ - started_;
    if (const auto* sending = std::get_if<sender>(&engine_)) {
        s.round_trip = sending->round_trip();
    }
    s.outcome = outcome_;
    s.send_error = send_error_;
    s.answered = answered_;
    s.peer_text = with_engine([](const auto& engine) { return std::string(engine.peer_text()); });
    return s;
}

std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
) {
    return std::make_unique<unicast_transfer>(std::move(setup), engine, std::move(from), now);
}

std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
) {
    return std::make_unique<unicast_transfer>(std::move(setup), engine, std::move(into), now);
}

} // namespace tftp
