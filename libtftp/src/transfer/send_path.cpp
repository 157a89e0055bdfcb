#include "transfer/send_path.hpp"

#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace tftp {

namespace {

namespace conditions = boost::system::errc;

/// What holding a run takes more than sending it, about 0.7 us, is made good by the copy that is
/// saved.
constexpr std::size_t in_place_min = 16384;

/// The system call copies block by block and would wait for memory at each: 0.36 us a block of 1468
/// bytes in a run of 44 with this, 0.50 without. Of memory that has gone nothing is fetched.
void fetch(bytes_view content) noexcept {
    constexpr std::size_t line = 64;
    for (std::size_t at = 0; at < content.size(); at += line) {
        __builtin_prefetch(content.data() + at);
    }
}

/// Largest payload of UDP over IPv4, and so of one segmented send.
constexpr std::size_t run_bytes_max = 65507;

[[nodiscard]] std::uint16_t run_max_for(std::size_t blksize) noexcept {
    const std::size_t fit = run_bytes_max / (blksize + header_size);
    return static_cast<std::uint16_t>(std::clamp<std::size_t>(fit, 1, scratch::segments_max));
}

/// The largest window, in bytes, of what was agreed or may be. A server that leaves out a blksize
/// below the default has agreed to the default.
[[nodiscard]] std::size_t window_bytes(const sender& engine) noexcept {
    const offer& asked = engine.offered();
    const std::size_t blksize =
        std::max(engine.agreed().blksize, asked.blksize.value_or(blksize_default));
    return blksize * std::max(engine.agreed().windowsize, asked.windowsize.value_or(1));
}

/// Returns what the peer is told of content that cannot be had.
const char* text_for(const error_code& why, peer_errc code) noexcept {
    if (why == errc::source_shrank) {
        return "the file became shorter";
    }
    return why == errc::source_changed ? "the file changed, try again" : peer_message(code);
}

} // namespace

send_path::send_path(
    transfer_state& state, const sender& engine, std::shared_ptr<source> from
) noexcept
    : engine_path(state, engine), reader_(state.jobs, std::move(from)) {
    reader_.content().keep_window(window_bytes(engine));
    if (const auto size = reader_.content().size()) {
        engine_.on_source_end(*size);
    }
}

std::size_t send_path::messages_max() const noexcept {
    // ACKs come one a window, a few when gaps are reported.
    constexpr std::size_t few = 8;
    return engine_.agreed().windowsize == 1 ? 1 : few;
}

void send_path::act(scratch& memory, time_point now) noexcept {
    state_.use.waits_to_send = false;
    const std::uint16_t run_max = run_max_for(engine_.agreed().blksize);
    bool go_on = !state_.end.closed;
    while (go_on) {
        const sender::effect effect = engine_.next(run_max);
        if (const auto* run = std::get_if<send_data>(&effect)) {
            go_on = send_run(*run, memory, now);
        } else if (const auto* control = std::get_if<send_control>(&effect)) {
            send(*control);
        } else {
            go_on = end_of_turn(effect, now);
        }
    }
}

bool send_path::send_run(const send_data& run, scratch& memory, time_point now) noexcept {
    if (state_.jobs.occupied()) {
        state_.deadline = now + blocked_wait;
        return false;
    }
    const std::optional<run_result> in_place = send_in_place(run, memory);
    const run_result outcome = in_place ? *in_place : send_read(run, memory);
    const auto& sent = outcome.left;
    if (outcome.unread) {
        return on_unread(run, sent.error(), now);
    }
    if (!sent && sent.error() == conditions::operation_would_block && wait_for_buffer(now)) {
        return false;
    }
    if (sent) {
        buffer_full_since_.reset();
    } else {
        // Any other failure is a loss like one on the wire, unless it is the peer's refusal.
        state_.send_error = sent.error();
        take_refusals();
    }
    const std::size_t left = sent ? *sent : outcome.blocks;
    engine_.on_sent(run, static_cast<std::uint16_t>(left), now);
    return left == outcome.blocks || !wait_for_buffer(now);
}

/// Sends a run from where its content stands, if that is known and the port can.
std::optional<send_path::run_result>
send_path::send_in_place(const send_data& run, scratch& memory) noexcept {
    const std::size_t blksize = engine_.agreed().blksize;
    const std::size_t size = std::size_t{run.count} * blksize;
    if (size < in_place_min || reader_.has_cold_read()) {
        return std::nullopt;
    }
    const bytes_view content = reader_.content().in_place(offset_of(run), size);
    if (content.empty()) {
        return std::nullopt;
    }
    fetch(content);
    const auto parts = memory.vectors().first(std::size_t{2} * run.count);
    for (std::size_t i = 0; i < run.count; ++i) {
        const auto header = memory.arena().subspan(i * header_size).first<header_size>();
        encode_data_header(header, to_wire(run.first_block + i, engine_.wrap()));
        // sendmsg takes pointers to mutable bytes; it only reads them.
        auto* const block = const_cast<std::byte*>(content.data() + i * blksize);
        parts[2 * i] = {header.data(), header_size};
        parts[2 * i + 1] = {block, blksize};
    }
    if (const error_code failed =
            state_.port->cork(engine_.peer(), {}, parts, blksize + header_size)) {
        if (failed == conditions::operation_not_supported) {
            return std::nullopt;
        }
        const bool gone = failed == conditions::bad_address;
        return run_result{gone ? make_error_code(errc::source_shrank) : failed, run.count, gone};
    }
    // What was cut off is cleared first, so it may have been copied: it must not leave. Whether
    // there is still something to send a read decides, which can be had again.
    if (!reader_.content().intact()) {
        state_.port->drop_corked();
        return std::nullopt;
    }
    if (const error_code failed = state_.port->release()) {
        if (failed == conditions::operation_not_supported) {
            return std::nullopt;
        }
        return run_result{failed, run.count};
    }
    return run_result{run.count, run.count};
}

/// Reads a run into the arena, between the headers, and sends it.
send_path::run_result send_path::send_read(const send_data& run, scratch& memory) noexcept {
    const std::size_t blksize = engine_.agreed().blksize;
    const std::size_t segment = blksize + header_size;
    const auto gaps = memory.vectors().first(run.count);
    for (std::size_t i = 0; i < gaps.size(); ++i) {
        const auto header = memory.arena().subspan(i * segment).first<header_size>();
        encode_data_header(header, to_wire(run.first_block + i, engine_.wrap()));
        gaps[i] = {header.data() + header_size, blksize};
    }
    const std::uint64_t offset = offset_of(run);
    const std::size_t wanted = gaps.size() * blksize;
    const auto filled = reader_.fill(offset, wanted, gaps);
    if (!filled) {
        return {filled.error(), run.count, true};
    }
    const auto size = reader_.content().size();
    const bool short_read =
        size ? offset + filled->bytes < std::min<std::uint64_t>(*size, offset + wanted)
             : filled->bytes < wanted && !filled->end;
    if (short_read) {
        return {make_error_code(errc::source_shrank), run.count, true};
    }
    if (!size && filled->end) {
        engine_.on_source_end(offset + filled->bytes);
    }
    const std::size_t blocks = std::min(gaps.size(), filled->bytes / blksize + 1);
    const std::size_t bytes = std::min(filled->bytes, blocks * blksize) + blocks * header_size;
    return {
        state_.port->send_run(engine_.peer(), {}, memory.arena().first(bytes), segment), blocks};
}

/// The content of a run is not at hand, or not at all: returns true when the engine has to act.
bool send_path::on_unread(const send_data& run, const error_code& why, time_point now) noexcept {
    if (why != errc::would_block) {
        state_.content_error = why;
        const peer_errc code = to_peer_errc(why);
        engine_.abort(code, text_for(why, code), why);
        return true;
    }
    if (reader_.start_cold_read(
            offset_of(run), std::size_t{run.count} * engine_.agreed().blksize
        )) {
        state_.pool_waits = 0;
        state_.deadline = now + blocked_wait;
    } else {
        state_.wait_for_pool(now);
    }
    return false;
}

/// Returns false when the buffer has been full for so long that nothing seems to leave it: what it
/// does not take is lost then, so that the engine's timer goes on and gives up in the end.
bool send_path::wait_for_buffer(time_point now) noexcept {
    const bool acknowledged = state_.end.completed || engine_.counters().bytes != 0;
    if (state_.port->native_handle() < 0 && !acknowledged) {
        // Others send from there as well, and this peer may not even exist: it waits before nobody.
        return false;
    }
    if (!buffer_full_since_) {
        buffer_full_since_ = now;
    }
    if (now - *buffer_full_since_ >= blocked_wait) {
        return false;
    }
    state_.use.waits_to_send = true;
    state_.deadline = *buffer_full_since_ + blocked_wait;
    return true;
}

std::uint64_t send_path::bytes_sent() const noexcept {
    const engine_counters& c = engine_.counters();
    if (c.blocks == 0) {
        return control_bytes_sent();
    }
    const std::uint64_t blksize = engine_.agreed().blksize;
    const std::uint64_t block = std::min(blksize, reader_.content().size().value_or(blksize));
    return control_bytes + (c.blocks + c.retransmissions) * (block + header_size);
}

} // namespace tftp
