#include "transfer/transfer_jobs.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

/// From a run of blocks that the engine offers to datagrams on the wire.
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

/// Returns what the peer is told of content that cannot be had.
const char* text_for(const error_code& why, peer_errc code) noexcept {
    if (why == errc::source_shrank) {
        return "the file became shorter";
    }
    return why == errc::source_changed ? "the file changed, try again" : peer_message(code);
}

} // namespace

bool unicast_transfer::send_run(
    sender& engine, const send_data& run, scratch& memory, time_point now
) noexcept {
    if (job_ != nullptr) {
        deadline_ = now + blocked_wait;
        return false;
    }
    const std::optional<run_result> in_place = send_in_place(engine, run, memory);
    const run_result outcome = in_place ? *in_place : send_read(engine, run, memory);
    const auto& sent = outcome.left;
    if (outcome.unread) {
        return on_unread(engine, run, sent.error(), now);
    }
    if (!sent && sent.error() == conditions::operation_would_block && wait_for_buffer(now)) {
        return false;
    }
    if (sent) {
        buffer_full_since_.reset();
    } else {
        // Any other failure is a loss like one on the wire, unless it is the peer's refusal.
        send_error_ = sent.error();
        take_refusals();
    }
    const std::size_t left = sent ? *sent : outcome.blocks;
    engine.on_sent(run, static_cast<std::uint16_t>(left), now);
    return left == outcome.blocks || !wait_for_buffer(now);
}

/// Sends a run from where its content stands, if that is known and the port can.
std::optional<unicast_transfer::run_result>
unicast_transfer::send_in_place(sender& engine, const send_data& run, scratch& memory) noexcept {
    const std::size_t blksize = engine.agreed().blksize;
    const std::size_t size = std::size_t{run.count} * blksize;
    if (size < in_place_min || cold_.bytes != nullptr || cold_.error) {
        return std::nullopt;
    }
    const bytes_view content = source_->in_place((run.first_block - 1) * blksize, size);
    if (content.empty()) {
        return std::nullopt;
    }
    fetch(content);
    const auto parts = memory.vectors().first(std::size_t{2} * run.count);
    for (std::size_t i = 0; i < run.count; ++i) {
        const auto header = memory.arena().subspan(i * header_size).first<header_size>();
        encode_data_header(header, to_wire(run.first_block + i, engine.wrap()));
        // sendmsg takes pointers to mutable bytes; it only reads them.
        auto* const block = const_cast<std::byte*>(content.data() + i * blksize);
        parts[2 * i] = {header.data(), header_size};
        parts[2 * i + 1] = {block, blksize};
    }
    if (const error_code failed = port_->cork(engine.peer(), {}, parts, blksize + header_size)) {
        if (failed == conditions::operation_not_supported) {
            return std::nullopt;
        }
        const bool gone = failed == conditions::bad_address;
        return run_result{gone ? make_error_code(errc::source_shrank) : failed, run.count, gone};
    }
    // What was cut off is cleared first, so it may have been copied: it must not leave. Whether
    // there is still something to send a read decides, which can be had again.
    if (!source_->intact()) {
        port_->drop_corked();
        return std::nullopt;
    }
    if (const error_code failed = port_->release()) {
        if (failed == conditions::operation_not_supported) {
            return std::nullopt;
        }
        return run_result{failed, run.count};
    }
    return run_result{run.count, run.count};
}

/// Reads a run into the arena, between the headers, and sends it.
unicast_transfer::run_result
unicast_transfer::send_read(sender& engine, const send_data& run, scratch& memory) noexcept {
    const std::size_t blksize = engine.agreed().blksize;
    const std::size_t segment = blksize + header_size;
    const auto gaps = memory.vectors().first(run.count);
    for (std::size_t i = 0; i < gaps.size(); ++i) {
        const auto header = memory.arena().subspan(i * segment).first<header_size>();
        encode_data_header(header, to_wire(run.first_block + i, engine.wrap()));
        gaps[i] = {header.data() + header_size, blksize};
    }
    const std::uint64_t offset = (run.first_block - 1) * blksize;
    const std::size_t wanted = gaps.size() * blksize;
    const auto filled = fill(offset, wanted, gaps);
    if (!filled) {
        return {filled.error(), run.count, true};
    }
    const auto size = source_->size();
    const bool short_read =
        size ? offset + filled->bytes < std::min<std::uint64_t>(*size, offset + wanted)
             : filled->bytes < wanted && !filled->end;
    if (short_read) {
        return {make_error_code(errc::source_shrank), run.count, true};
    }
    if (!size && filled->end) {
        engine.on_source_end(offset + filled->bytes);
    }
    const std::size_t blocks = std::min(gaps.size(), filled->bytes / blksize + 1);
    const std::size_t bytes = std::min(filled->bytes, blocks * blksize) + blocks * header_size;
    return {port_->send_run(engine.peer(), {}, memory.arena().first(bytes), segment), blocks};
}

/// The content of a run is not at hand, or not at all: returns true when the engine has to act.
bool unicast_transfer::on_unread(
    sender& engine, const send_data& run, const error_code& why, time_point now
) noexcept {
    if (why != errc::would_block) {
        const peer_errc code = to_peer_errc(why);
        engine.abort(code, text_for(why, code), why);
        return true;
    }
    const std::size_t blksize = engine.agreed().blksize;
    if (start_cold_read((run.first_block - 1) * blksize, std::size_t{run.count} * blksize)) {
        pool_waits_ = 0;
        deadline_ = now + blocked_wait;
    } else {
        wait_for_pool(now);
    }
    return false;
}

/// Returns false when the buffer has been full for so long that nothing seems to leave it: what it
/// does not take is lost then, so that the engine's timer goes on and gives up in the end.
bool unicast_transfer::wait_for_buffer(time_point now) noexcept {
    if (port_->native_handle() < 0 && !acknowledged()) {
        // Others send from there as well, and this peer may not even exist: it waits before nobody.
        return false;
    }
    if (!buffer_full_since_) {
        buffer_full_since_ = now;
    }
    if (now - *buffer_full_since_ >= blocked_wait) {
        return false;
    }
    want_write_ = true;
    deadline_ = *buffer_full_since_ + blocked_wait;
    return true;
}

result<read_outcome> unicast_transfer::fill(
    std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps
) noexcept {
    if (cold_.bytes == nullptr && !cold_.error) {
        const auto outcome = source_->try_read(offset, gaps);
        if (outcome || outcome.error() != errc::would_block || host_ != nullptr) {
            return outcome;
        }
        return source_->read(offset, gaps);
    }
    const cold_read_result cold = std::exchange(cold_, {});
    if (cold.error) {
        return cold.error;
    }
    const std::uint64_t end = cold.offset + cold.outcome.bytes;
    const bool covers =
        cold.offset <= offset && offset <= end && (end - offset >= wanted || cold.outcome.end);
    if (!covers) {
        // An ACK or a timeout changed what is to be sent meanwhile.
        return source_->try_read(offset, gaps);
    }
    const bytes_view content =
        bytes_view(cold.bytes.get(), cold.outcome.bytes).subspan(offset - cold.offset);
    std::size_t copied = 0;
    for (const ::iovec& gap : gaps) {
        const std::size_t part = std::min(gap.iov_len, content.size() - copied);
        std::memcpy(gap.iov_base, content.data() + copied, part);
        copied += part;
    }
    return read_outcome{copied, cold.outcome.end && copied == content.size()};
}

bool unicast_transfer::start_cold_read(std::uint64_t offset, std::size_t wanted) noexcept {
    const extent all = source_->around(offset, wanted);
    budget_share share(host_->buffers(), all.size, budget_use::reading, source_->lane());
    return share.held() && hand_over<cold_read>(queueing::bounded, std::move(share), all);
}

} // namespace tftp
