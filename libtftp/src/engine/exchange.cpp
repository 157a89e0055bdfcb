#include <tftp/engine/exchange.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace tftp::detail {

namespace {

constexpr auto stranger_error = [] {
    constexpr std::string_view text = "unknown transfer ID";
    std::array<std::byte, header_size + text.size() + 1> out{};
    out[1] = static_cast<std::byte>(opcode::error);
    out[3] = static_cast<std::byte>(peer_errc::unknown_transfer_id);
    for (std::size_t i = 0; i < text.size(); ++i) {
        out[header_size + i] = static_cast<std::byte>(text[i]);
    }
    return out;
}();

} // namespace

exchange::exchange(
    const endpoint& remote, bool initiator, const engine_config& settings, time_point now
) noexcept
    : config(settings),
      rto(settings.rto),
      peer(remote),
      started_(now),
      last_progress_(now),
      locked_(!initiator) {
    deadline = now + opening_interval();
}

exchange::origin exchange::classify(const endpoint& from) const noexcept {
    if (locked_) {
        return from == peer ? origin::peer : origin::stranger;
    }
    return from.same_host(peer) ? origin::candidate : origin::stranger;
}

void exchange::lock(const endpoint& from) noexcept {
    peer = from;
    locked_ = true;
}

void exchange::on_stranger(const endpoint& from, const packet_view& packet) noexcept {
    ++counters.strangers;
    if (std::holds_alternative<error_view>(packet)) {
        return;
    }
    stranger_ = from;
    stranger_due_ = true;
}

void exchange::opening_written(std::size_t size, time_point now) noexcept {
    buffer_used_ = static_cast<std::uint16_t>(size);
    opening_due_ = true;
    restart_timer(now);
}

void exchange::established(time_point now) noexcept {
    if (has_opening() && !opening_repeated_) {
        rto.sample_opening(now - started_);
    }
    state = phase::established;
    opening_due_ = false;
    // A refusal of another copy is void.
    text_size_ = 0;
    progress(now);
}

void exchange::queue_ack(std::uint16_t wire_block) noexcept {
    ack_ = encode_ack(wire_block);
    ack_due_ = true;
}

void exchange::finish(
    std::optional<peer_errc> code, std::string_view message, const error_code& why
) noexcept {
    outcome = why;
    state = phase::finished;
    opening_due_ = false;
    ack_due_ = false;
    text_size_ = 0;
    if (!code || !locked_) {
        return;
    }
    if (const auto size = encode_error(*code, message, buffer_)) {
        buffer_used_ = static_cast<std::uint16_t>(*size);
        error_due_ = true;
    }
}

void exchange::finish_by_peer(const error_view& error, const error_code& why) noexcept {
    finish(std::nullopt, {}, why);
    keep_text(error.message);
}

void exchange::keep_text(std::string_view text) noexcept {
    const std::size_t size = std::min(text.size(), buffer_.size());
    std::memcpy(buffer_.data(), text.data(), size);
    text_size_ = static_cast<std::uint16_t>(size);
}

bool exchange::defer_refusal(const error_view& error, time_point now) noexcept {
    if (state != phase::opening || ++refusals_ >= sends_) {
        // Every copy was refused.
        return false;
    }
    if (refusals_ == 1) {
        refusal_ = error.code;
        // The opening is not sent again, so its place is free.
        opening_due_ = false;
        keep_text(error.message);
        deadline = now + opening_interval();
    }
    return true;
}

duration exchange::opening_interval() const noexcept {
    if (config.fixed_interval != duration::zero()) {
        return config.fixed_interval;
    }
    return config.rto.initial * (1U << std::min(sends_ - 1U, doublings_max));
}

duration exchange::hold() const noexcept {
    duration unadapted = config.fixed_interval;
    if (agreed.timeout && config.timeouts == timeout_policy::honour) {
        unadapted = std::max<duration>(unadapted, *agreed.timeout);
    }
    return std::max(config.give_up, 2 * unadapted);
}

void exchange::restart_timer(time_point now, duration wait) noexcept {
    if (state != phase::opening) {
        deadline = std::min<time_point>(now + wait, last_progress_ + hold());
        return;
    }
    deadline = now + opening_interval();
    if (sends_ >= config.opening_sends) {
        deadline = std::max<time_point>(deadline, started_ + config.opening_patience);
    }
}

bool exchange::retry(time_point now) noexcept {
    if (state == phase::opening) {
        if (refusals_ != 0 || sends_ >= config.opening_sends) {
            return false;
        }
    } else {
        if (now - last_progress_ >= hold()) {
            return false;
        }
        rto.back_off();
    }
    ++counters.timeouts;
    if (sends_ < std::numeric_limits<std::uint8_t>::max()) {
        ++sends_;
    }
    restart_timer(now);
    return true;
}

void exchange::give_up() noexcept {
    if (refusals_ != 0 && state == phase::opening) {
        const std::uint16_t text = text_size_;
        finish(std::nullopt, {}, refusal_);
        text_size_ = text;
        return;
    }
    finish(
        state == phase::opening ? std::nullopt : std::optional(peer_errc::undefined),
        "timed out",
        errc::timed_out
    );
}

void exchange::progress(time_point now) noexcept {
    last_progress_ = now;
    sends_ = 1;
    rto.progress();
}

void exchange::progress_by_block(time_point now) noexcept {
    const time_point since = std::exchange(came_[oldest_], now);
    oldest_ = static_cast<std::uint8_t>((oldest_ + 1U) % came_.size());
    const bool known = since != time_point{};
    const time_point before = last_progress_;
    progress(now);
    if (known && now - since > trickle_time) {
        last_progress_ = before;
    }
}

duration exchange::interval() const noexcept {
    return interval(rto.interval());
}

duration exchange::interval(duration measured) const noexcept {
    if (config.fixed_interval != duration::zero()) {
        return config.fixed_interval;
    }
    if (!agreed.timeout) {
        return measured;
    }
    if (config.timeouts == timeout_policy::ceiling) {
        return std::min<duration>(measured, *agreed.timeout);
    }
    // An answer that took longer than what was asked is waited for all the same.
    return std::max<duration>(*agreed.timeout, rto.longest() + rto.longest() / 4);
}

std::optional<send_control> exchange::next_control() noexcept {
    if (stranger_due_) {
        stranger_due_ = false;
        return send_control{stranger_error, stranger_};
    }
    if (opening_due_) {
        opening_due_ = false;
        counters.retransmissions += opening_sent_ ? 1U : 0U;
        opening_sent_ = true;
        return send_control{bytes_view(buffer_).first(buffer_used_), peer};
    }
    if (ack_due_) {
        ack_due_ = false;
        return send_control{ack_, peer};
    }
    if (error_due_) {
        error_due_ = false;
        return send_control{bytes_view(buffer_).first(buffer_used_), peer};
    }
    return std::nullopt;
}

std::string_view exchange::peer_text() const noexcept {
    return {reinterpret_cast<const char*>(buffer_.data()), text_size_};
}

} // namespace tftp::detail
