#include <tftp/base/assert.hpp>
#include <tftp/engine/sender.hpp>

#include <algorithm>

namespace tftp {

using phase = detail::exchange::phase;
using origin = detail::exchange::origin;

sender::sender(
    const endpoint& peer, bool initiator, const engine_config& config, time_point now
) noexcept
    : exchange_(peer, initiator, config, now), pacer_(1), initiator_(initiator) {}

sender sender::respond(
    const answer& answered, const endpoint& peer, const engine_config& config, time_point now
) noexcept {
    sender s(peer, false, config, now);
    s.exchange_.agreed = answered.agreed;
    if (answered.needs_oack()) {
        const auto size = encode_oack(answered, s.exchange_.opening_buffer());
        // The largest OACK fits: wire/options.cpp checks it.
        TFTP_ASSERT(size.has_value());
        s.exchange_.opening_written(*size, now);
    } else {
        s.start();
    }
    return s;
}

result<sender> sender::request(
    std::string_view filename,
    transfer_mode mode,
    const offer& offered,
    const endpoint& server,
    const engine_config& config,
    time_point now
) noexcept {
    sender s(server, true, config, now);
    s.offered_ = offered;
    const auto size =
        encode_request(opcode::wrq, filename, mode, offered, s.exchange_.opening_buffer());
    if (!size) {
        return size.error();
    }
    s.exchange_.opening_written(*size, now);
    return s;
}

void sender::start() noexcept {
    started_ = true;
    pacer_ = detail::pacer(exchange_.agreed.windowsize, exchange_.rto.smoothed());
    if (size_) {
        on_source_end(*size_);
    }
}

void sender::on_datagram(bytes_view datagram, const endpoint& from, time_point now) noexcept {
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
    if (const auto* error = std::get_if<error_view>(&*packet)) {
        on_error(*error, now);
    } else if (const auto* oack = std::get_if<oack_view>(&*packet); oack != nullptr && initiator_) {
        on_oack(*oack, from, now);
    } else if (const auto* ack = std::get_if<ack_view>(&*packet); ack != nullptr) {
        if (who == origin::candidate) {
            if (ack->block != 0) {
                exchange_.on_stranger(from, *packet);
                return;
            }
            exchange_.lock(from);
        }
        on_ack(*ack, now);
    } else {
        ++exchange_.counters.ignored;
    }
}

void sender::on_error(const error_view& error, time_point now) noexcept {
    if (initiator_ && exchange_.defer_refusal(error, now)) {
        return;
    }
    const bool probe = awaits_options() && opening() && exchange_.agreed.tsize.has_value();
    exchange_.finish_by_peer(
        error, probe ? make_error_code(errc::size_probe) : make_error_code(error.code)
    );
}

void sender::on_oack(const oack_view& oack, const endpoint& from, time_point now) noexcept {
    if (started_) {
        if (base_ == 1 && oack_repeated_) {
            // It comes again because no DATA has come: what left was lost. Once it may be on the
            // way still.
            on_repeated_ack(now);
        } else {
            oack_repeated_ = true;
            ++exchange_.counters.ignored;
        }
        return;
    }
    const auto accepted = accept_oack(oack, offered_);
    exchange_.lock(from);
    if (!accepted) {
        exchange_.finish(peer_errc::option_refused, "unacceptable option answer", accepted.error());
        return;
    }
    exchange_.agreed = *accepted;
    exchange_.established(now);
    start();
}

/// No option that is negotiated here gives `ack.extra` a meaning, so it changes nothing.
void sender::on_ack(const ack_view& ack, time_point now) noexcept {
    if (!started_) {
        if (ack.block != 0) {
            ++exchange_.counters.ignored;
            return;
        }
        exchange_.established(now);
        start();
        return;
    }
    const auto block = from_wire(
        ack.block, base_ - 1, std::uint32_t{exchange_.agreed.windowsize} + 1, exchange_.config.wrap
    );
    if (!block || *block > sent_) {
        ++exchange_.counters.ignored;
    } else if (*block == base_ - 1) {
        on_repeated_ack(now);
    } else {
        on_new_ack(*block, now);
    }
}

void sender::on_new_ack(std::uint64_t block, time_point now) noexcept {
    const unsigned timeouts = exchange_.timeouts_in_a_row();
    if (opening()) {
        exchange_.established(now);
    }
    measure(block, timeouts, now);
    const std::uint64_t taken = block + 1 - base_;
    // Behind the newest block nothing could show a gap: U-Boot, which acknowledges each block that
    // comes twice, then counts its windows from another block than we do.
    const bool newest_under_way =
        block + 2 == next_ && sent_ < next_ && next_ != last_ + 1 &&
        now - left_at_ < exchange_.rto.smoothed().value_or(duration::zero()) +
                             exchange_.config.rto.variance_min / 2;
    // What was sent again a moment ago is not what is answered: on a path that mixes datagrams,
    // each block that finds its place has an ACK, and each would have the whole window sent again.
    const bool repeats_under_way = again_ && exchange_.rto.smoothed() && block + 1 < next_ &&
                                   now - base_sent_at_ < exchange_.rto.least();
    const bool gap = block + 1 < next_ && !newest_under_way && !repeats_under_way;
    if (gap) {
        measure_gap(taken, now);
    } else if (taken >= exchange_.agreed.windowsize) {
        pacer_.on_clean_window();
    }
    after_repeats_ = window_repeated_;
    window_repeated_ = false;
    honoured_ = 0;
    base_ = block + 1;
    if (newest_under_way) {
        base_sent_at_ = left_at_;
        base_first_sent_at_ = left_at_;
        repeat_honoured_ = false;
    } else if (repeats_under_way) {
        mixed_ = true;
    } else {
        rewind();
    }
    if (gap) {
        // What was lost may still fill the receiver's queue.
        pause(now, pacer_.pause_after_gap());
    }
    exchange_.counters.bytes = block * exchange_.agreed.blksize;
    exchange_.progress(now);
    if (last_ != 0 && block == last_) {
        exchange_.counters.bytes = *size_;
        exchange_.finish(std::nullopt, {}, {});
    } else if (exchange_.config.wrap == rollover::forbidden && base_ > max_block_without_rollover) {
        refuse_rollover();
    }
}

/// Takes what a new ACK says of the round trip.
void sender::measure(std::uint64_t block, unsigned timeouts, time_point now) noexcept {
    // An ACK inside the window may be the work of the receiver's timer: it measures nothing.
    const bool newest = block + 1 == next_;
    if (timing_ && newest) {
        timed_blocks_ = left_blocks_;
        exchange_.rto.sample(now - left_at_, block + 1 - base_);
        if (!mixed_) {
            pacer_.on_burst(
                now - left_at_, left_blocks_, left_at_ - base_sent_at_, block + 1 - base_
            );
        }
    }
    timing_ = false;
    copies_ = static_cast<std::uint8_t>(timeouts);
    if (timeouts != 0 && newest) {
        exchange_.rto.on_repeated_answer(now - left_at_, now - repeated_at_);
    }
}

void sender::measure_gap(std::uint64_t taken, time_point now) noexcept {
    ++exchange_.counters.gaps;
    const duration elapsed = now - base_first_sent_at_;
    // What passed since a window that was repeated is for the most part our own timer.
    const duration passed = window_repeated_ ? now - base_sent_at_ : elapsed;
    // Nor is a gap evidence of a queue that was told when all had left and should have arrived.
    const bool told_by_timer = pacer_.link_is_slow() && !next_run(1) &&
                               now - left_at_ > pacer_.queued() + exchange_.rto.overdue();
    const bool unknown = window_repeated_ || mixed_ || told_by_timer;
    pacer_.on_gap(taken, unknown ? std::nullopt : std::optional(elapsed), spread_of(taken + 1));
    exchange_.rto.on_gap(passed, taken);
    if (taken != 0 && !window_repeated_) {
        exchange_.rto.on_answer_within(elapsed);
    }
    if (!pacer_.link_is_slow()) {
        exchange_.rto.on_loss();
    }
}

/// Returns how long after the first block of the window the block `further` behind it left. Timers
/// are late, so this is not what the pauses come to.
duration sender::spread_of(std::uint64_t further) const noexcept {
    const std::uint64_t out = next_ - 1 - base_;
    if (out == 0 || left_at_ < base_first_sent_at_) {
        return duration::zero();
    }
    const auto part = static_cast<duration::rep>(std::min(further, out));
    return (left_at_ - base_first_sent_at_) * part / static_cast<duration::rep>(out);
}

void sender::on_repeated_ack(time_point now) noexcept {
    ++exchange_.counters.ignored;
    if (on_copy_answered(now)) {
        return;
    }
    // RFC 1123 4.2.3.1: at windowsize 1 a duplicate never causes DATA. U-Boot and its like answer
    // each block that comes twice: after a repeated window such an ACK says nothing, until all that
    // was sent must have been answered. What comes then is asked for by the receiver's own timer.
    if (exchange_.agreed.windowsize == 1 || next_ == base_) {
        return;
    }
    // The more often it was heard without a step forward, the later it is heard again: whoever
    // forges one may forge more.
    const bool again = repeat_honoured_ || after_repeats_;
    if (again && now - base_sent_at_ < exchange_.rto.overdue() * (1U << honoured_)) {
        return;
    }
    // In a window it can mean that the first block was lost (RFC 7440 s.4), but not sooner than the
    // loss can be known: a copy made by the network comes earlier.
    // After a timeout it answers what that had sent.
    if (exchange_.timeouts_in_a_row() == 0 &&
        now - base_sent_at_ < std::max(exchange_.rto.least(), pacer_.queued())) {
        return;
    }
    if (again) {
        honoured_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(honoured_ + 1), honoured_max);
    }
    measure_gap(0, now);
    if (base_ == 1) {
        // Whoever forges one ACK can forge a second, and who answers slowly asks twice: it gets two
        // blocks, and whoever is there answers them by an ACK of block 1.
        send_ends_again();
        first_is_missing_ = true;
    } else {
        rewind();
        if (pacer_.link_is_slow()) {
            pause(now, pacer_.pause_after_gap());
        }
    }
    repeat_honoured_ = true;
    window_repeated_ = true;
}

/// Returns true when an ACK that comes again answers a copy of what is acknowledged: it had arrived
/// before, and the peer is slow, and busy with the copy.
bool sender::on_copy_answered(time_point now) noexcept {
    if (copies_ == 0) {
        return false;
    }
    --copies_;
    exchange_.rto.on_copy_answered();
    if (exchange_.timeouts_in_a_row() == 0 && next_ != base_) {
        exchange_.restart_timer(now);
    }
    return true;
}

void sender::rewind() noexcept {
    next_ = base_;
    timing_ = false;
    paced_ = false;
    repeat_honoured_ = false;
    first_again_ = false;
    last_again_ = false;
}

/// Has the first and the last block of the window sent again, as far as that is allowed.
void sender::send_ends_again() noexcept {
    first_again_ = !unproven() || may_send_unproven(1);
    last_again_ = next_ > base_ + 1 && (!unproven() || may_send_unproven(2));
}

/// The timer fired, and it is not time to give up.
void sender::send_again() noexcept {
    // The last block of a window draws an ACK from whoever has a gap, and from most who have none:
    // the window is not repeated to a receiver that is merely slow, or whose ACK was lost. Before
    // anything is acknowledged it is all that is sent.
    const bool probe = exchange_.agreed.windowsize > 1 && next_ != base_ &&
                       (unproven() || exchange_.timeouts_in_a_row() <= probes_max);
    if (unproven() && !opening() && !may_send_unproven(1)) {
        return;
    }
    if (probe) {
        // Who has said that it lacks the first block is not asked again: what may leave is counted.
        if (unproven() && first_is_missing_) {
            send_ends_again();
        } else {
            last_again_ = true;
        }
        repeat_honoured_ = false;
        after_repeats_ = false;
        paced_ = false;
    } else {
        rewind();
    }
    window_repeated_ = true;
}

bool sender::may_send_unproven(std::uint32_t blocks) const noexcept {
    const std::uint32_t window = exchange_.agreed.windowsize;
    return unproven_blocks_ + blocks <= window + std::max(window, unproven_repeats_min);
}

void sender::on_deadline(time_point now) noexcept {
    if (exchange_.state == phase::finished) {
        return;
    }
    if (paced_ && now >= pace_until_) {
        paced_ = false;
    }
    if (now < exchange_.deadline) {
        return;
    }
    if (!exchange_.retry(now)) {
        exchange_.give_up();
    } else if (!started_) {
        exchange_.repeat_opening();
    } else {
        send_again();
    }
}

void sender::on_sent(const send_data& run, std::uint16_t blocks, time_point now) noexcept {
    const std::uint64_t lone = lone_block();
    TFTP_ASSERT(run.first_block == (lone != 0 ? lone : next_) && blocks <= run.count);
    if (blocks == 0) {
        return;
    }
    if (unproven()) {
        unproven_blocks_ += blocks;
    }
    if (lone != 0) {
        ++exchange_.counters.retransmissions;
        if (lone == base_) {
            base_sent_at_ = now;
        }
        (first_again_ ? first_again_ : last_again_) = false;
        timing_ = false;
        repeated_at_ = now;
        exchange_.restart_timer(now);
        return;
    }
    const std::uint64_t end = next_ + blocks;
    const std::uint64_t fresh =
        end - 1 > sent_ ? std::min<std::uint64_t>(end - 1 - sent_, blocks) : 0;
    exchange_.counters.blocks += fresh;
    if (fresh != 0) {
        // A window that leaves slowly is no silence.
        exchange_.moved(now);
    }
    exchange_.counters.retransmissions += blocks - fresh;
    timing_ = fresh == blocks;
    // What the timer had sent again has the age of its first copy.
    repeated_at_ = now;
    if (exchange_.timeouts_in_a_row() == 0 || fresh != 0) {
        left_at_ = now;
        left_blocks_ = blocks;
    }
    if (next_ == base_) {
        again_ = base_ <= sent_;
        mixed_ = false;
        base_sent_at_ = now;
        if (!window_repeated_) {
            base_first_sent_at_ = now;
        }
    }
    next_ = end;
    sent_ = std::max(sent_, end - 1);
    exchange_.rto.expect_window(static_cast<std::uint16_t>(next_ - base_));
    exchange_.counters.all_sent = last_ != 0 && sent_ >= last_;
    // A burst larger than the one that was measured takes longer.
    const unsigned further = blocks > timed_blocks_ ? blocks - timed_blocks_ : 0U;
    exchange_.restart_timer(now + pacer_.time_for(further));
    if (next_run(1)) {
        pause(now, pacer_.pause());
    }
}

void sender::pause(time_point now, duration wait) noexcept {
    paced_ = wait > duration::zero();
    pace_until_ = now + wait;
    if (paced_) {
        // Nobody can answer what has not left.
        exchange_.restart_timer(pace_until_);
    }
}

void sender::on_source_end(std::uint64_t size_bytes) noexcept {
    size_ = size_bytes;
    if (!started_ || exchange_.state == phase::finished) {
        return;
    }
    last_ = size_bytes / exchange_.agreed.blksize + 1;
    if (exchange_.config.wrap == rollover::forbidden && last_ > max_block_without_rollover) {
        refuse_rollover();
    }
}

void sender::refuse_rollover() noexcept {
    exchange_.finish(
        peer_errc::disk_full, "file needs more than 65535 blocks", errc::rollover_forbidden
    );
}

void sender::on_repeated_request() noexcept {
    if (!opening()) {
        return;
    }
    if (!started_) {
        exchange_.repeat_opening();
    } else {
        rewind();
    }
}

void sender::on_refused(const error_code& why) noexcept {
    if (exchange_.state != phase::finished) {
        exchange_.finish(std::nullopt, {}, why);
    }
}

void sender::abort(peer_errc code, std::string_view message, const error_code& why) noexcept {
    if (exchange_.state != phase::finished) {
        exchange_.finish(code, message, why);
    }
}

std::optional<send_data> sender::next_run(std::uint16_t blocks_max) const noexcept {
    if (!started_) {
        return std::nullopt;
    }
    if (const std::uint64_t lone = lone_block(); lone != 0) {
        return send_data{lone, 1, true};
    }
    if (paced_) {
        return std::nullopt;
    }
    std::uint64_t end = base_ + exchange_.agreed.windowsize;
    if (last_ != 0) {
        end = std::min(end, last_ + 1);
    }
    if (exchange_.config.wrap == rollover::forbidden) {
        end = std::min(end, max_block_without_rollover + 1);
    }
    if (next_ >= end) {
        return std::nullopt;
    }
    const std::uint64_t count = std::min<std::uint64_t>({end - next_, blocks_max, pacer_.burst()});
    return send_data{next_, static_cast<std::uint16_t>(count), next_ <= sent_};
}

sender::effect sender::next(std::uint16_t blocks_max) noexcept {
    if (const auto control = exchange_.next_control()) {
        return *control;
    }
    if (exchange_.state == phase::finished) {
        if (!exchange_.completed_told) {
            exchange_.completed_told = true;
            return completed{exchange_.outcome};
        }
        return closed{};
    }
    if (const auto run = next_run(blocks_max)) {
        return *run;
    }
    return idle{paced_ ? std::min(pace_until_, exchange_.deadline) : exchange_.deadline};
}

} // namespace tftp
