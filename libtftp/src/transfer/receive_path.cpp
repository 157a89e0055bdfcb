#include "transfer/receive_path.hpp"

#include <cstddef>
#include <new>
#include <span>
#include <utility>
#include <variant>

#include <sys/uio.h>

namespace tftp {

/// Stores where that may wait.
class receive_path::write_job final : public file_job<sink> {
public:
    /// reserve: bytes announced, if they are to be reserved first.
    write_job(
        job_slot& slot, receive_path& path, write_batch batch, std::optional<std::uint64_t> reserve
    ) noexcept
        : file_job(slot, path.sink_), path_(path), batch_(std::move(batch)), reserve_(reserve) {}

    void run() noexcept override {
        if (reserve_) {
            outcome_ = file().reserve(*reserve_);
        }
        if (!outcome_ && !batch_.bytes.empty()) {
            const ::iovec payload{batch_.bytes.data(), batch_.bytes.size()};
            outcome_ = file().write(*batch_.offset, {&payload, 1});
        }
    }

private:
    void deliver() noexcept override { path_.job_outcome_ = outcome_; }

    receive_path& path_;
    write_batch batch_;
    std::optional<std::uint64_t> reserve_;
    error_code outcome_;
};

/// Puts an upload in its place.
class receive_path::commit_job final : public file_job<sink> {
public:
    commit_job(job_slot& slot, receive_path& path) noexcept
        : file_job(slot, path.sink_, job_length::lasting), path_(path) {}

    void run() noexcept override {
        outcome_ = file().commit();
        close();
    }

private:
    void deliver() noexcept override { path_.job_outcome_ = outcome_; }

    receive_path& path_;
    error_code outcome_;
};

receive_path::receive_path(
    transfer_state& state, const receiver& engine, std::shared_ptr<sink> into, transfer_mode mode
) noexcept
    : engine_path(state, engine), sink_(std::move(into)), mode_(mode) {}

std::size_t receive_path::messages_max() const noexcept {
    return engine_.agreed().windowsize == 1 ? 1 : scratch::receive_slots;
}

bool receive_path::begin_batch(time_point now) noexcept {
    if (writes_elsewhere() && !start_batch()) {
        state_.pause(now);
        return false;
    }
    return true;
}

void receive_path::on_datagram(
    bytes_view datagram, const endpoint& from, scratch& memory, time_point now
) noexcept {
    engine_.on_datagram(datagram, from, now);
    act(memory, now);
}

void receive_path::act(scratch& memory, time_point now) noexcept {
    bool go_on = !state_.end.closed;
    while (go_on) {
        const receiver::effect effect = engine_.next();
        if (const auto* content = std::get_if<store>(&effect)) {
            take(*content, memory);
        } else if (const auto* control = std::get_if<send_control>(&effect)) {
            send(*control);
        } else {
            go_on = end_of_turn(effect, now);
        }
    }
}

void receive_path::end_batch(scratch& memory, time_point now) noexcept {
    auto batch = std::exchange(batch_, std::nullopt);
    if (state_.end.closed) {
        // The peer gave up in the batch that brought its last block: nothing is committed.
        return;
    }
    if (batch && batch->offset) {
        start_write(std::move(*batch));
    } else {
        write_gathered(memory);
        stored(now);
    }
}

void receive_path::on_resumed(time_point now) noexcept {
    const auto outcome = std::exchange(job_outcome_, std::nullopt);
    if (!outcome) {
        return;
    }
    if (std::exchange(state_.use.writing, false)) {
        finish_write(*outcome, now);
    } else {
        finish_commit(*outcome, now);
    }
}

void receive_path::stored(time_point now) noexcept {
    if (last_taken_) {
        last_taken_ = false;
        commit(now);
    } else if (!engine_.whole()) {
        engine_.on_stored(now);
    }
}

void receive_path::take(const store& effect, scratch& memory) noexcept {
    if (batch_) {
        add_to_batch(effect);
        return;
    }
    if (gathered_.count == 0) {
        gathered_.offset = effect.offset;
    }
    last_taken_ = effect.last;
    if (!effect.payload.empty()) {
        // writev takes pointers to mutable bytes; a sink only reads them.
        auto* const bytes = const_cast<std::byte*>(effect.payload.data());
        memory.vectors()[gathered_.count] = {bytes, effect.payload.size()};
        ++gathered_.count;
    }
    if (gathered_.count == scratch::segments_max) {
        write_gathered(memory);
    }
}

void receive_path::write_gathered(scratch& memory) noexcept {
    error_code failed;
    if (const auto size = size_to_reserve()) {
        failed = sink_->reserve(*size);
    }
    if (!failed && gathered_.count != 0) {
        failed = sink_->write(gathered_.offset, memory.vectors().first(gathered_.count));
    }
    gathered_.count = 0;
    if (failed) {
        write_failed(failed);
    }
}

std::optional<std::uint64_t> receive_path::size_to_reserve() noexcept {
    if (reserved_ || !engine_.settled()) {
        return std::nullopt;
    }
    reserved_ = true;
    return mode_ == transfer_mode::octet ? engine_.agreed().tsize : std::nullopt;
}

void receive_path::write_failed(const error_code& why) noexcept {
    last_taken_ = false;
    state_.content_error = why;
    const peer_errc code = to_peer_errc(why);
    engine_.abort(code, peer_message(code), why);
}

bool receive_path::writes_elsewhere() const noexcept {
    return state_.jobs.host() != nullptr && sink_ && sink_->remote();
}

bool receive_path::start_batch() noexcept {
    const std::size_t room = engine_.agreed().windowsize == 1 ? engine_.agreed().blksize
                                                              : messages_max() * scratch::slot_size;
    budget_share share(state_.jobs.host()->buffers(), room, budget_use::writing, sink_->lane());
    if (!share.held()) {
        return false;
    }
    state_.pool_waits = 0;
    batch_.emplace().share = std::move(share);
    return true;
}

void receive_path::add_to_batch(const store& effect) noexcept {
    last_taken_ = effect.last;
    if (!batch_->offset) {
        batch_->offset = effect.offset;
    }
    auto& bytes = batch_->bytes;
    try {
        bytes.insert(bytes.end(), effect.payload.begin(), effect.payload.end());
    } catch (const std::bad_alloc&) {
        write_failed(make_error_code(boost::system::errc::not_enough_memory));
    }
}

void receive_path::start_write(write_batch batch) noexcept {
    batch.share.shrink(batch.bytes.size());
    state_.use.writing =
        state_.jobs.submit<write_job>(queueing::always, *this, std::move(batch), size_to_reserve());
    if (!state_.use.writing) {
        write_failed(errc::overloaded);
    }
}

void receive_path::finish_write(const error_code& outcome, time_point now) noexcept {
    if (outcome) {
        write_failed(outcome);
    } else {
        stored(now);
    }
}

void receive_path::commit(time_point now) noexcept {
    engine_.on_commit_begun();
    if (state_.jobs.host() != nullptr && state_.jobs.submit<commit_job>(queueing::always, *this)) {
        // What it holds goes with the commit: only the port is needed from here on.
        state_.jobs.host()->release(sink_);
        return;
    }
    const bool waits = state_.jobs.host() != nullptr && sink_->remote();
    const error_code outcome = waits ? make_error_code(errc::overloaded) : sink_->commit();
    if (!waits) {
        sink_.reset();
    }
    finish_commit(outcome, now);
}

void receive_path::finish_commit(const error_code& outcome, time_point now) noexcept {
    if (outcome) {
        state_.content_error = outcome;
        const peer_errc code = to_peer_errc(outcome);
        engine_.on_commit_failed(code, peer_message(code), outcome);
    } else {
        engine_.on_stored(now);
    }
}

void receive_path::release_file() noexcept {
    if (state_.jobs.host() != nullptr) {
        state_.jobs.host()->release(sink_);
    }
}

} // namespace tftp
