#include <tftp/base/assert.hpp>
#include <tftp/engine/sender.hpp>

#include <algorithm>

namespace tftp {

using phase = detail::exchange::phase;
using origin = detail::exchange::origin;

sender::sender(
    const endpoint& peer, bool initiator, const engine_config& config, time_point now
) noexcept
    : x_(peer, initiator, config, now), pacer_(1), initiator_(initiator) {}

sender sender::respond(
    const answer& answered, const endpoint& peer, const engine_config& config, time_point now
) noexcept {
    sender s(peer, false, config, now);
    s.x_.agreed = answered.agreed;
    if (answered.needs_oack()) {
        const auto size = encode_oack(answered, s.x_.opening_buffer());
        // Four options at their longest stay far below the buffer.
        TFTP_ASSERT(size.has_value());
        s.x_.opening_written(*size, now);
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
    const auto size = encode_request(opcode::wrq, filename, mode, offered, s.x_.opening_buffer());
    if (!size) {
        return size.error();
    }
    s.x_.opening_written(*size, now);
    return s;
}

void sender::start() noexcept {
    started_ = true;
    pacer_ = detail::pacer(x_.agreed.windowsize, x_.rto.smoothed());
    if (size_) {
        on_source_end(*size_);
    }
}

void sender::on_datagram(bytes_view datagram, const endpoint& from, time_point now) noexcept {
    if (x_.state == phase::finished) {
        return;
    }
    const auto packet = decode(datagram);
    if (!packet) {
        x_.on_malformed();
        return;
    }
    const origin who = x_.classify(from);
    if (who == origin::stranger) {
        x_.on_stranger(from, *packet);
        return;
    }
    if (const auto* error = std::get_if<error_view>(&*packet)) {
        on_error(*error, now);
    } else if (const auto* oack = std::get_if<oack_view>(&*packet); oack != nullptr && initiator_) {
        on_oack(*oack, from, now);
    } else if (const auto* ack = std::get_if<ack_view>(&*packet); ack != nullptr) {
        if (who == origin::candidate) {
            if (ack->block != 0) {
                x_.on_stranger(from, *packet);
                return;
            }
            x_.lock(from);
        }
        on_ack(ack->block, now);
    } else {
        ++x_.counters.ignored;
    }
}

void sender::on_error(const error_view& error, time_point now) noexcept {
    if (initiator_ && x_.defer_refusal(error, now)) {
        return;
    }
    const bool probe = awaits_options() && opening() && x_.agreed.tsize.has_value();
    x_.finish_by_peer(
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
            ++x_.counters.ignored;
        }
        return;
    }
    const auto accepted = accept_oack(oack, offered_);
    x_.lock(from);
    if (!accepted) {
        x_.finish(peer_errc::option_refused, "unacceptable option answer", accepted.error());
        return;
    }
    x_.agreed = *accepted;
    x_.established(now);
    start();
}

void sender::on_ack(std::uint16_t wire, time_point now) noexcept {
    if (!started_) {
        if (wire != 0) {
            ++x_.counters.ignored;
            return;
        }
        x_.established(now);
        start();
        return;
    }
    const auto block =
        from_wire(wire, base_ - 1, std::uint32_t{x_.agreed.windowsize} + 1, x_.config.wrap);
    if (!block || *block > sent_) {
        ++x_.counters.ignored;
    } else if (*block == base_ - 1) {
        on_repeated_ack(now);
    } else {
        on_new_ack(*block, now);
    }
}

void sender::on_new_ack(std::uint64_t block, time_point now) noexcept {
    const unsigned timeouts = x_.timeouts_in_a_row();
    if (opening()) {
        x_.established(now);
    }
    measure(block, timeouts, now);
    const std::uint64_t taken = block + 1 - base_;
    // Behind the newest block nothing could show a gap: U-Boot, which acknowledges each block that
    // comes twice, then counts its windows from another block than we do.
    const bool newest_under_way = block + 2 == next_ && sent_ < next_ && next_ != last_ + 1 &&
                                  now - left_at_ < x_.rto.smoothed().value_or(duration::zero()) +
                                                       x_.config.rto.variance_min / 2;
    // What was sent again a moment ago is not what is answered: on a path that mixes datagrams,
    // each block that finds its place has an ACK, and each would have the whole window sent again.
    const bool repeats_under_way =
        again_ && x_.rto.smoothed() && block + 1 < next_ && now - base_sent_at_ < x_.rto.least();
    const bool gap = block + 1 < next_ && !newest_under_way && !repeats_under_way;
    if (gap) {
        measure_gap(taken, now);
    } else if (taken >= x_.agreed.windowsize) {
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
    x_.counters.bytes = block * x_.agreed.blksize;
    x_.progress(now);
    if (last_ != 0 && block == last_) {
        x_.counters.bytes = *size_;
        x_.finish(std::nullopt, {}, {});
    } else if (x_.config.wrap == rollover::forbidden && base_ > max_block_without_rollover) {
        refuse_rollover();
    }
}

/// Takes what a new ACK says of the round trip.
void sender::measure(std::uint64_t block, unsigned timeouts, time_point now) noexcept {
    // An ACK inside the window may be the work of the receiver's timer: it measures nothing.
    const bool newest = block + 1 == next_;
    if (timing_ && newest) {
        timed_blocks_ = left_blocks_;
        x_.rto.sample(now - left_at_, block + 1 - base_);
        if (!mixed_) {
            pacer_.on_burst(
                now - left_at_, left_blocks_, left_at_ - base_sent_at_, block + 1 - base_
            );
        }
    }
    timing_ = false;
    copies_ = static_cast<std::uint8_t>(timeouts);
    if (timeouts != 0 && newest) {
        x_.rto.on_repeated_answer(now - left_at_, now - repeated_at_);
    }
}

void sender::measure_gap(std::uint64_t taken, time_point now) noexcept {
    ++x_.counters.gaps;
    const duration elapsed = now - base_first_sent_at_;
    // What passed since a window that was repeated is for the most part our own timer.
    const duration passed = window_repeated_ ? now - base_sent_at_ : elapsed;
    // Nor is a gap evidence of a queue that was told when all had left and should have arrived.
    const bool told_by_timer = pacer_.link_is_slow() && !next_run(1) &&
                               now - left_at_ > pacer_.queued() + x_.rto.overdue();
    const bool unknown = window_repeated_ || mixed_ || told_by_timer;
    pacer_.on_gap(taken, unknown ? std::nullopt : std::optional(elapsed), spread_of(taken + 1));
    x_.rto.on_gap(passed, taken);
    if (taken != 0 && !window_repeated_) {
        x_.rto.on_answer_within(elapsed);
    }
    if (!pacer_.link_is_slow()) {
        x_.rto.on_loss();
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
    ++x_.counters.ignored;
    if (on_copy_answered(now)) {
        return;
    }
    // RFC 1123 4.2.3.1: at windowsize 1 a duplicate never causes DATA. U-Boot and its like answer
    // each block that comes twice: after a repeated window such an ACK says nothing, until all that
    // was sent must have been answered. What comes then is asked for by the receiver's own timer.
    if (x_.agreed.windowsize == 1 || next_ == base_) {
        return;
    }
    // The more often it was heard without a step forward, the later it is heard again: whoever
    // forges one may forge more.
    const bool again = repeat_honoured_ || after_repeats_;
    if (again && now - base_sent_at_ < x_.rto.overdue() * (1U << honoured_)) {
        return;
    }
    // In a window it can mean that the first block was lost (RFC 7440 s.4), but not sooner than the
    // loss can be known: a copy made by the network comes earlier.
    // After a timeout it answers what that had sent.
    if (x_.timeouts_in_a_row() == 0 &&
        now - base_sent_at_ < std::max(x_.rto.least(), pacer_.queued())) {
        return;
    }
    if (again) {
        honoured_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(honoured_ + 1), honoured_max);
    }
    measure_gap(0, now);
    if (base_ == 1) {
        // Whoever forges one ACK can forge a second, and who answers slowly asks twice: it gets two
        // blocks, and whoever is there answers them by an ACK of block 1.
        first_again_ = !unproven() || may_send_unproven(2);
        last_again_ = first_again_ && next_ > base_ + 1;
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
    x_.rto.on_copy_answered();
    if (x_.timeouts_in_a_row() == 0 && next_ != base_) {
        x_.restart_timer(now);
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

/// The timer fired, and it is not time to give up.
void sender::send_again() noexcept {
    // The last block of a window draws an ACK from whoever has a gap, and from most who have none:
    // the window is not repeated to a receiver that is merely slow, or whose ACK was lost. Before
    // anything is acknowledged it is all that is sent.
    const bool probe = x_.agreed.windowsize > 1 && next_ != base_ &&
                       (unproven() || x_.timeouts_in_a_row() <= probes_max);
    if (unproven() && !opening() && !may_send_unproven(1)) {
        return;
    }
    if (probe) {
        last_again_ = true;
        repeat_honoured_ = false;
        after_repeats_ = false;
        paced_ = false;
    } else {
        rewind();
    }
    window_repeated_ = true;
}

bool sender::may_send_unproven(std::uint32_t blocks) const noexcept {
    const std::uint32_t window = x_.agreed.windowsize;
    return unproven_blocks_ + blocks <= window + std::max(window, unproven_repeats_min);
}

void sender::on_deadline(time_point now) noexcept {
    if (x_.state == phase::finished) {
        return;
    }
    if (paced_ && now >= pace_until_) {
        paced_ = false;
    }
    if (now < x_.deadline) {
        return;
    }
    if (!x_.retry(now)) {
        x_.give_up();
    } else if (!started_) {
        x_.repeat_opening();
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
        ++x_.counters.retransmissions;
        if (lone == base_) {
            base_sent_at_ = now;
        }
        (first_again_ ? first_again_ : last_again_) = false;
        timing_ = false;
        repeated_at_ = now;
        x_.restart_timer(now);
        return;
    }
    const std::uint64_t end = next_ + blocks;
    const std::uint64_t fresh =
        end - 1 > sent_ ? std::min<std::uint64_t>(end - 1 - sent_, blocks) : 0;
    x_.counters.blocks += fresh;
    if (fresh != 0) {
        // A window that leaves slowly is no silence.
        x_.moved(now);
    }
    x_.counters.retransmissions += blocks - fresh;
    timing_ = fresh == blocks;
    // What the timer had sent again has the age of its first copy.
    repeated_at_ = now;
    if (x_.timeouts_in_a_row() == 0 || fresh != 0) {
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
    x_.rto.expect_window(static_cast<std::uint16_t>(next_ - base_));
    x_.counters.all_sent = last_ != 0 && sent_ >= last_;
    // A burst larger than the one that was measured takes longer.
    const unsigned further = blocks > timed_blocks_ ? blocks - timed_blocks_ : 0U;
    x_.restart_timer(now + pacer_.time_for(further));
    if (next_run(1)) {
        pause(now, pacer_.pause());
    }
}

void sender::pause(time_point now, duration wait) noexcept {
    paced_ = wait > duration::zero();
    pace_until_ = now + wait;
    if (paced_) {
        // Nobody can answer what has not left.
        x_.restart_timer(pace_until_);
    }
}

void sender::on_source_end(std::uint64_t size_bytes) noexcept {
    size_ = size_bytes;
    if (!started_ || x_.state == phase::finished) {
        return;
    }
    last_ = size_bytes / x_.agreed.blksize + 1;
    if (x_.config.wrap == rollover::forbidden && last_ > max_block_without_rollover) {
        refuse_rollover();
    }
}

void sender::refuse_rollover() noexcept {
    x_.finish(peer_errc::disk_full, "file needs more than 65535 blocks", errc::rollover_forbidden);
}

void sender::on_repeated_request() noexcept {
    if (!opening()) {
        return;
    }
    if (!started_) {
        x_.repeat_opening();
    } else {
        rewind();
    }
}

void sender::on_refused(const error_code& why) noexcept {
    if (x_.state != phase::finished) {
        x_.finish(std::nullopt, {}, why);
    }
}

void sender::abort(peer_errc code, std::string_view message, const error_code& why) noexcept {
    if (x_.state != phase::finished) {
        x_.finish(code, message, why);
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
    std::uint64_t end = base_ + x_.agreed.windowsize;
    if (last_ != 0) {
        end = std::min(end, last_ + 1);
    }
    if (x_.config.wrap == rollover::forbidden) {
        end = std::min(end, max_block_without_rollover + 1);
    }
    if (next_ >= end) {
        return std::nullopt;
    }
    const std::uint64_t count = std::min<std::uint64_t>({end - next_, blocks_max, pacer_.burst()});
    return send_data{next_, static_cast<std::uint16_t>(count), next_ <= sent_};
}

sender::effect sender::next(std::uint16_t blocks_max) noexcept {
    if (const auto control = x_.next_control()) {
        return *control;
    }
    if (x_.state == phase::finished) {
        if (!x_.completed_told) {
            x_.completed_told = true;
            return completed{x_.outcome};
        }
        return closed{};
    }
    if (const auto run = next_run(blocks_max)) {
        return *run;
    }
    return idle{paced_ ? std::min(pace_until_, x_.deadline) : x_.deadline};
}

} // namespace tftp
