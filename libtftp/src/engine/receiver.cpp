#include <tftp/base/assert.hpp>
#include <tftp/engine/receiver.hpp>

#include <algorithm>

namespace tftp {

using phase = detail::exchange::phase;
using origin = detail::exchange::origin;

namespace {

/// The blocks of a window follow each other more closely than answers do.
[[nodiscard]] rto_limits spacing_limits(rto_limits limits) noexcept {
    limits.variance_min /= 2;
    return limits;
}

} // namespace

receiver::receiver(
    const endpoint& peer, bool initiator, const engine_config& config, time_point now
) noexcept
    : exchange_(peer, initiator, config, now),
      spacing_(spacing_limits(config.rto)),
      initiator_(initiator),
      first_acked_at_(now),
      acked_at_(now),
      block_at_(now) {}

receiver receiver::respond(
    const answer& answered, const endpoint& peer, const engine_config& config, time_point now
) noexcept {
    receiver r(peer, false, config, now);
    r.exchange_.agreed = answered.agreed;
    r.settled_ = true;
    r.check_size_ = true;
    const bytes_span opening = r.exchange_.opening_buffer();
    if (answered.needs_oack()) {
        const auto size = encode_oack(answered, opening);
        // The largest OACK fits: wire/options.cpp checks it.
        TFTP_ASSERT(size.has_value());
        r.exchange_.opening_written(*size, now);
    } else {
        std::ranges::copy(encode_ack(0), opening.begin());
        r.exchange_.opening_written(header_size, now);
    }
    return r;
}

result<receiver> receiver::request(
    std::string_view filename,
    transfer_mode mode,
    const offer& offered,
    const endpoint& server,
    const engine_config& config,
    time_point now
) noexcept {
    receiver r(server, true, config, now);
    r.offered_ = offered;
    r.check_size_ = mode == transfer_mode::octet;
    const auto size =
        encode_request(opcode::rrq, filename, mode, offered, r.exchange_.opening_buffer());
    if (!size) {
        return size.error();
    }
    r.exchange_.opening_written(*size, now);
    return r;
}

void receiver::on_datagram(bytes_view datagram, const endpoint& from, time_point now) noexcept {
    TFTP_ASSERT(!store_due_);
    if (exchange_.state == phase::finished) {
        return;
    }
    const auto packet = decode(datagram);
    if (!packet) {
        exchange_.on_malformed();
        return;
    }
    const origin who = exchange_.classify(from);
    if (who == origin::stranger) {
        exchange_.on_stranger(from, *packet);
        return;
    }
    if (const auto* data = std::get_if<data_view>(&*packet)) {
        if (who == origin::candidate && data->block != 1) {
            exchange_.on_stranger(from, *packet);
            return;
        }
        on_data(*data, from, now);
    } else if (const auto* oack = std::get_if<oack_view>(&*packet); oack != nullptr && initiator_) {
        on_oack(*oack, from, now);
    } else if (const auto* error = std::get_if<error_view>(&*packet)) {
        on_error(*error, now);
    } else {
        ++exchange_.counters.ignored;
    }
}

void receiver::on_error(const error_view& error, time_point now) noexcept {
    if (initiator_ && exchange_.defer_refusal(error, now)) {
        return;
    }
    if (exchange_.state != phase::dallying && !committing_) {
        exchange_.finish_by_peer(error, error.code);
    }
}

void receiver::on_oack(const oack_view& oack, const endpoint& from, time_point now) noexcept {
    if (settled_) {
        // Repeated because our ACK 0 was lost; once DATA has come it is only late.
        ++exchange_.counters.ignored;
        repeat_due_ = repeat_due_ || expected_ == 1;
        return;
    }
    const auto accepted = accept_oack(oack, offered_);
    exchange_.lock(from);
    if (!accepted) {
        exchange_.finish(peer_errc::option_refused, "unacceptable option answer", accepted.error());
        return;
    }
    exchange_.agreed = *accepted;
    settled_ = true;
    exchange_.established(now);
    acknowledge(false, now);
}

void receiver::on_data(const data_view& data, const endpoint& from, time_point now) noexcept {
    if (data.payload.size() > exchange_.agreed.blksize && !whole_) {
        exchange_.lock(from);
        exchange_.finish(
            peer_errc::illegal_operation, "DATA is larger than the agreed block", errc::oversize
        );
        return;
    }
    // Blocks of the window before are repeats, blocks of the window ahead show a gap.
    const std::uint64_t window = exchange_.agreed.windowsize;
    const std::uint64_t first = expected_ > window ? expected_ - window : 1;
    const auto count = static_cast<std::uint32_t>(expected_ + window - first);
    const auto block = from_wire(data.block, first, count, exchange_.config.wrap);
    if (block && *block == expected_ && !whole_) {
        exchange_.lock(from);
        on_next_block(data.payload, now);
        return;
    }
    ++exchange_.counters.ignored;
    if (!block) {
        return;
    }
    if (exchange_.state == phase::dallying) {
        repeat_last_ack();
    } else if (whole_) {
        // The commit is running; the ACK that follows it answers this one as well.
        return;
    } else if (*block > expected_) {
        // One report is enough, unless the blocks that answer it show the same gap again.
        if (!gap_reported_) {
            gap_due_ = true;
            gap_reported_ = true;
            ++exchange_.counters.gaps;
            spacing_.on_loss();
            exchange_.rto.on_loss();
        } else if (now - acked_at_ >= std::max(round_trip(), window_time())) {
            repeat_due_ = true;
        }
    } else if (acked_ + 1 == expected_) {
        // What comes sooner than a repeat is a copy made by the network or the rest of a repeated
        // window. An ACK for it could have the next window sent twice, and a sender that answers
        // repeated ACKs would send the whole file twice. Our own timer covers the case that it was
        // meant.
        if (!repeat_due_ && is_repeat(now)) {
            repeat_due_ = true;
            exchange_.rto.on_loss();
        }
    }
}

/// Returns the usual round trip, or what stands for it.
duration receiver::round_trip() const noexcept {
    return exchange_.rto.smoothed().value_or(exchange_.config.rto.variance_min);
}

/// Returns how long a window takes on the link, as far as that is bearable to wait for.
duration receiver::window_time() const noexcept {
    const duration each = spacing_.smoothed().value_or(duration::zero());
    return std::min<duration>(each * exchange_.agreed.windowsize, exchange_.config.rto.initial);
}

/// Returns true when a block that comes again now may have been sent because an ACK was lost.
bool receiver::is_repeat(time_point now) const noexcept {
    const auto shortest = exchange_.rto.shortest();
    if (exchange_.agreed.windowsize == 1 && shortest) {
        // A sender that lost our ACK repeats after more than a round trip. The usual one may have
        // been learned from the timer of a sender.
        return now - acked_at_ >= std::max(*shortest, repeat_min);
    }
    // The rest of a repeated window takes as long as a window does.
    return now - acked_at_ >= std::max(
                                  {std::min(round_trip(), exchange_.rto.least() + repeat_min),
                                   repeat_min,
                                   window_time()}
                              );
}

void receiver::on_next_block(bytes_view payload, time_point now) noexcept {
    if (opening()) {
        settled_ = true;
        exchange_.established(now);
    }
    measure(now);
    gap_reported_ = false;
    exchange_.progress_by_block(now);
    const std::uint64_t bytes = exchange_.counters.bytes + payload.size();
    const bool last = payload.size() < exchange_.agreed.blksize;
    if (!last && exchange_.config.wrap == rollover::forbidden && expected_ == 65535) {
        exchange_.finish(
            peer_errc::disk_full, "file needs more than 65535 blocks", errc::rollover_forbidden
        );
        return;
    }
    if (last && check_size_ && exchange_.agreed.tsize && bytes < *exchange_.agreed.tsize) {
        exchange_.finish(
            peer_errc::undefined, "fewer octets came than tsize announced", errc::truncated
        );
        return;
    }
    // Some announce 0 for a size that they do not know.
    if (check_size_ && exchange_.agreed.tsize.value_or(0) != 0 && bytes > *exchange_.agreed.tsize) {
        exchange_.finish(
            peer_errc::undefined, "more bytes came than tsize announced", errc::excess
        );
        return;
    }
    exchange_.counters.bytes = bytes;
    ++exchange_.counters.blocks;
    pending_ = {(expected_ - 1) * exchange_.agreed.blksize, payload, last};
    store_due_ = true;
    storing_ = true;
    whole_ = last;
    ++expected_;
    exchange_.deadline = missed_at(now);
}

/// Takes what a new block says of the times that pass.
void receiver::measure(time_point now) noexcept {
    const bool first = expected_ == acked_ + 1;
    // The next block of a window, which may have been on the way when it was asked for.
    const bool rest = first && asked_again_ && inside_;
    const duration age = first && !rest ? now - first_acked_at_ : now - block_at_;
    if (age > stall_max) {
        // This was a timer of the sender's. Two sides that each wait for longer than the other was
        // seen to wait would end in waiting for ever.
        exchange_.rto.on_loss();
    } else if (rest) {
        spacing_.on_repeated_answer(age, now - acked_at_);
    } else if (asked_again_ && first) {
        // A sender that ignores repeated ACKs, as it should, answers by its own time.
        if (now - acked_at_ > exchange_.interval() / 2) {
            exchange_.rto.remember(age);
        } else {
            exchange_.rto.on_repeated_answer(age, now - acked_at_);
        }
    } else if (first && timing_) {
        exchange_.rto.sample(age);
    } else if (!first && !gap_reported_) {
        spacing_.sample(age);
    }
    timing_ = false;
    asked_again_ = false;
    block_at_ = now;
}

/// Returns how long the answer to an ACK is waited for.
duration receiver::wait() const noexcept {
    const bool careful = exchange_.agreed.windowsize == 1 || exchange_.rto.lossless();
    return exchange_.interval(exchange_.rto.interval(careful ? wait_min : duration::zero()));
}

/// Returns when the next block is missed, if nothing comes.
time_point receiver::missed_at(time_point now) const noexcept {
    if (expected_ - 1 - acked_ >= exchange_.agreed.windowsize) {
        return now + wait();
    }
    // The rest of a window follows as its beginning did. Asking for it before the sender's own
    // timer fires has it repeat only what is missing. But what comes within a round trip of an ACK
    // does not answer it: its answer is on the way still. To ask again meanwhile would have all of
    // it sent twice, and the next window too.
    const auto round_trip = exchange_.rto.smoothed().value_or(duration::zero());
    // And while nothing was lost, others may be what fills the link between two blocks.
    const time_point since = exchange_.rto.lossless()
                                 ? now + round_trip
                                 : std::max<time_point>(now, acked_at_ + round_trip);
    const bool fixed = exchange_.config.fixed_interval != duration::zero();
    if (fixed) {
        return since + exchange_.interval();
    }
    // A sender that fits its bursts to a slow link pauses about as long as a block takes there.
    return since + spacing_.interval() + spacing_.smoothed().value_or(duration::zero());
}

void receiver::on_stored(time_point now) noexcept {
    TFTP_ASSERT(!store_due_);
    storing_ = false;
    committing_ = false;
    if (exchange_.state == phase::finished || exchange_.state == phase::dallying) {
        return;
    }
    if (whole_) {
        complete(now);
    } else if (expected_ - 1 - acked_ >= exchange_.agreed.windowsize) {
        acknowledge(false, now);
    } else if (gap_due_ && !opening()) {
        acknowledge(true, now);
    } else if (gap_due_ || repeat_due_) {
        // The timer runs on: a peer that repeats itself for ever makes no progress.
        const time_point deadline = exchange_.deadline;
        acknowledge(true, now);
        exchange_.deadline = deadline;
    }
    gap_due_ = false;
    repeat_due_ = false;
}

void receiver::acknowledge(bool repeat, time_point now) noexcept {
    if (!repeat || acked_ != expected_ - 1) {
        first_acked_at_ = now;
    }
    acked_ = expected_ - 1;
    acked_at_ = now;
    timing_ = !repeat;
    exchange_.counters.retransmissions += repeat ? 1U : 0U;
    exchange_.queue_ack(to_wire(acked_, exchange_.config.wrap));
    exchange_.restart_timer(now, wait());
}

void receiver::complete(time_point now) noexcept {
    acknowledge(false, now);
    exchange_.state = phase::dallying;
    // A server stays until the client's own timer may have fired; a client's user waits for it.
    const duration most = exchange_.config.dally_max;
    const duration prompt = 2 * std::min(exchange_.interval(exchange_.rto.prompt_interval()), most);
    const duration patient = 2 * std::min(exchange_.interval(), exchange_.config.rto.max);
    exchange_.deadline = now + (initiator_ ? std::min(prompt, most) : std::max(patient, most));
    const bool adapts =
        !exchange_.agreed.timeout && exchange_.config.fixed_interval == duration::zero();
    if (!initiator_ && adapts && exchange_.agreed.windowsize > 1 &&
        acked_ <= exchange_.agreed.windowsize) {
        // All came in one window, before a careful sender has learned anything: when this ACK is
        // lost it waits for long, and should find somebody then. Better that it need not.
        const duration first = exchange_.rto.first_interval(acked_) + exchange_.config.rto.initial;
        gone_at_ = std::max<time_point>(
            exchange_.deadline, now + std::min(first, 2 * exchange_.config.rto.max)
        );
        exchange_.deadline = now + exchange_.config.rto.initial;
        last_ack_again_ = true;
    }
}

void receiver::repeat_last_ack() noexcept {
    exchange_.queue_ack(to_wire(acked_, exchange_.config.wrap));
    ++exchange_.counters.retransmissions;
    if (last_ack_again_) {
        last_ack_again_ = false;
        exchange_.deadline = gone_at_;
    }
}

void receiver::on_deadline(time_point now) noexcept {
    if (exchange_.state == phase::finished || now < exchange_.deadline) {
        return;
    }
    if (exchange_.state == phase::dallying) {
        if (last_ack_again_ && now < gone_at_) {
            repeat_last_ack();
        } else {
            exchange_.state = phase::finished;
        }
        return;
    }
    if (storing_) {
        return;
    }
    const bool unheard = opening();
    if (!exchange_.retry(now)) {
        exchange_.give_up();
    } else if (unheard) {
        exchange_.repeat_opening();
    } else {
        inside_ = expected_ - 1 != acked_ || (inside_ && asked_again_);
        acknowledge(true, now);
        asked_again_ = true;
    }
}

void receiver::on_repeated_request() noexcept {
    if (opening()) {
        exchange_.repeat_opening();
    }
}

void receiver::on_commit_begun() noexcept {
    TFTP_ASSERT(whole_ && !store_due_);
    committing_ = exchange_.state == phase::established;
}

void receiver::on_commit_failed(
    peer_errc code, std::string_view message, const error_code& why
) noexcept {
    committing_ = false;
    abort(code, message, why);
}

void receiver::on_refused(const error_code& why) noexcept {
    if (committing_) {
        return;
    }
    if (exchange_.state == phase::dallying) {
        exchange_.state = phase::finished;
    } else if (exchange_.state != phase::finished) {
        exchange_.finish(std::nullopt, {}, why);
    }
}

void receiver::abort(peer_errc code, std::string_view message, const error_code& why) noexcept {
    if (committing_) {
        return;
    }
    store_due_ = false;
    if (exchange_.state != phase::finished && exchange_.state != phase::dallying) {
        exchange_.finish(code, message, why);
    }
}

receiver::effect receiver::next() noexcept {
    if (const auto control = exchange_.next_control()) {
        return *control;
    }
    if (store_due_) {
        store_due_ = false;
        return pending_;
    }
    const bool known = exchange_.state == phase::finished || exchange_.state == phase::dallying;
    if (known && !exchange_.completed_told) {
        exchange_.completed_told = true;
        return completed{exchange_.outcome};
    }
    if (exchange_.state == phase::finished) {
        return closed{};
    }
    if (storing_) {
        // Waiting for the sink, and at the end for the commit, however long it takes.
        return idle{};
    }
    return idle{exchange_.deadline};
}

} // namespace tftp
