#include <tftp/engine/sender.hpp>
#include <tftp/wire/assert.hpp>

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
        on_error(*error);
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

void sender::on_error(const error_view& error) noexcept {
    const bool probe = awaits_options() && opening() && x_.agreed.tsize.has_value();
    x_.finish_by_peer(
        error, probe ? make_error_code(errc::size_probe) : make_error_code(error.code)
    );
}

void sender::on_oack(const oack_view& oack, const endpoint& from, time_point now) noexcept {
    if (started_) {
        ++x_.counters.ignored;
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
    if (opening()) {
        x_.established(now);
    }
    // An ACK inside the window may be the work of the receiver's timer: it measures nothing.
    if (timing_ && block + 1 == next_) {
        x_.rto.sample(now - left_at_);
        pacer_.on_burst(now - left_at_, left_blocks_, left_at_ - base_sent_at_, block + 1 - base_);
    }
    timing_ = false;
    after_repeats_ = window_repeated_;
    window_repeated_ = false;
    const std::uint64_t taken = block + 1 - base_;
    // Behind the newest block nothing could show a gap: U-Boot, which acknowledges each block that
    // comes twice, then counts its windows from another block than we do.
    const bool under_way = block + 2 == next_ && sent_ < next_ && next_ != last_ + 1 &&
                           now - left_at_ < x_.rto.smoothed().value_or(duration::zero()) +
                                                x_.config.rto.variance_min / 2;
    const bool gap = block + 1 < next_ && !under_way;
    if (gap) {
        ++x_.counters.gaps;
        pacer_.on_gap(taken);
    } else if (taken >= x_.agreed.windowsize) {
        pacer_.on_clean_window();
    }
    base_ = block + 1;
    if (under_way) {
        base_sent_at_ = left_at_;
        repeat_honoured_ = false;
    } else {
        rewind();
    }
    if (gap) {
        // What was lost may still fill the receiver's queue.
        pause(now);
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

void sender::on_repeated_ack(time_point now) noexcept {
    ++x_.counters.ignored;
    // RFC 1123 4.2.3.1: at windowsize 1 a duplicate never causes DATA. U-Boot and its like answer
    // each block that comes twice: after a repeated window such an ACK says nothing.
    if (x_.agreed.windowsize == 1 || repeat_honoured_ || after_repeats_ || next_ == base_) {
        return;
    }
    // In a window it can mean that the first block was lost (RFC 7440 s.4), but not sooner than the
    // loss can be known: a copy made by the network comes earlier.
    if (now - base_sent_at_ < x_.rto.least()) {
        return;
    }
    ++x_.counters.gaps;
    pacer_.on_gap(0);
    rewind();
    repeat_honoured_ = true;
    window_repeated_ = true;
}

void sender::rewind() noexcept {
    next_ = base_;
    timing_ = false;
    paced_ = false;
    repeat_honoured_ = false;
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
    const bool unheard = opening();
    if (!x_.retry(now)) {
        x_.finish(
            unheard ? std::nullopt : std::optional(peer_errc::undefined),
            "timed out",
            errc::timed_out
        );
    } else if (!started_) {
        x_.repeat_opening();
    } else {
        rewind();
        window_repeated_ = true;
    }
}

void sender::on_sent(const send_data& run, std::uint16_t blocks, time_point now) noexcept {
    TFTP_ASSERT(run.first_block == next_ && blocks <= run.count);
    if (blocks == 0) {
        return;
    }
    const std::uint64_t end = next_ + blocks;
    const std::uint64_t fresh =
        end - 1 > sent_ ? std::min<std::uint64_t>(end - 1 - sent_, blocks) : 0;
    x_.counters.blocks += fresh;
    x_.counters.retransmissions += blocks - fresh;
    timing_ = fresh == blocks;
    left_at_ = now;
    left_blocks_ = blocks;
    if (next_ == base_) {
        base_sent_at_ = now;
    }
    next_ = end;
    sent_ = std::max(sent_, end - 1);
    x_.counters.all_sent = last_ != 0 && sent_ >= last_;
    x_.restart_timer(now);
    if (next_run(1)) {
        pause(now);
    }
}

void sender::pause(time_point now) noexcept {
    const duration wait = pacer_.pause();
    paced_ = wait > duration::zero();
    pace_until_ = now + wait;
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
    if (!started_ || paced_) {
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
