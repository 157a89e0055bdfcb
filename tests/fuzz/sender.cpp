// The sender under any row of events. A model of what is acknowledged, kept by the test itself,
// says what may be in flight; the engine must also come to an end once nobody speaks any more.
//
// Input: configuration, options, size of the content; then events, each an octet and its operands.
#include "fuzz/engine.hpp"

#include <tftp/engine/sender.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>

using namespace tftp;
using namespace std::chrono_literals;
using fuzz::require;

namespace {

constexpr std::uint16_t unlimited = 0xffff;

class harness {
public:
    explicit harness(fuzz::input& in)
        : initiator_(in.flag()),
          config_(fuzz::config_from(in)),
          options_(fuzz::options_from(in)),
          size_((in.u8() & 1U) == 0 ? in.u16() : in.u64() >> 20U),
          sender_(make(in.flag())) {
        drain(false);
    }

    void event(fuzz::input& in);
    /// Nobody speaks any more: only time passes.
    void finish();

    [[nodiscard]] bool over() const { return watch_.is_closed(); }

private:
    [[nodiscard]] sender make(bool tell_size) {
        const test::datagram request = test::rrq("file", options_);
        const auto told = tell_size ? std::optional(size_) : std::nullopt;
        sender made =
            initiator_ ? sender::request(
                             "file",
                             transfer_mode::octet,
                             fuzz::offer_from(options_),
                             test::server,
                             config_,
                             now_
                         )
                             .value()
                       : sender::respond(fuzz::answer_to(request, told), test::peer, config_, now_);
        if (tell_size) {
            made.on_source_end(size_);
            size_told_ = true;
        }
        return made;
    }

    void receive(const test::datagram& octets, const endpoint& from);
    void pass(duration d);
    void drain(bool announced);
    void take(const send_control& control);
    /// Returns false when the socket takes no more.
    [[nodiscard]] bool take(const send_data& run);
    [[nodiscard]] std::optional<std::uint64_t> block_of(const test::datagram& octets) const;

    [[nodiscard]] std::uint64_t last() const { return size_ / sender_.agreed().blksize + 1; }

    bool initiator_;
    engine_config config_;
    test::option_pairs options_;
    std::uint64_t size_;
    bool size_told_ = false;
    time_point now_ = fuzz::start;
    sender sender_;
    fuzz::watcher watch_;
    test::datagram opening_;
    std::uint16_t run_max_ = unlimited;
    /// Blocks that the socket still takes.
    std::uint16_t room_ = unlimited;
    bool rests_ = false;
    std::uint64_t acked_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t repeats_ = 0;
    std::uint64_t sent_now_ = 0;
};

/// The block that this datagram of the peer newly acknowledges.
std::optional<std::uint64_t> harness::block_of(const test::datagram& octets) const {
    if (octets.size() < header_size || octets[0] != std::byte{0} || octets[1] != std::byte{4}) {
        return std::nullopt;
    }
    const std::uint64_t end = std::min<std::uint64_t>(sent_, acked_ + sender_.agreed().windowsize);
    for (std::uint64_t block = acked_ + 1; block <= end; ++block) {
        const std::uint16_t wire = to_wire(block, config_.wrap);
        if (octets[2] == std::byte(wire >> 8U) && octets[3] == std::byte(wire & 0xffU)) {
            return block;
        }
    }
    return std::nullopt;
}

void harness::receive(const test::datagram& octets, const endpoint& from) {
    const bool heard = from == sender_.peer() && !watch_.is_completed();
    const auto block = heard ? block_of(octets) : std::nullopt;
    const bool quiet = rests_ && sent_ > 0 && sender_.agreed().windowsize == 1 && !block;
    acked_ = block.value_or(acked_);
    watch_.arrives(octets, from);
    sender_.on_datagram(octets, from, now_);
    require(sender_.base() == acked_ + 1, "another block is acknowledged");
    drain(false);
    require(!quiet || sent_now_ == 0, "DATA for a duplicate ACK at windowsize 1");
}

void harness::pass(duration d) {
    now_ += d;
    sender_.on_deadline(now_);
    drain(true);
}

void harness::event(fuzz::input& in) {
    watch_.nothing_arrives();
    const endpoint peer = sender_.peer();
    const endpoint other = in.flag() ? peer.with_port(in.u16()) : test::stranger;
    const std::uint8_t what = in.u8();
    switch (what % 16) {
    case 0: // any ACK close to what is expected
        receive(test::ack(to_wire(acked_ + in.u8(), rollover::to_zero)), peer);
        break;
    case 1:
        receive(test::ack(in.u16()), in.flag() ? peer : other);
        break;
    case 2: // everything arrived
        receive(test::ack(to_wire(sent_, config_.wrap)), peer);
        break;
    case 3:
        receive(test::oack(fuzz::options_from(in)), in.flag() ? peer : other);
        break;
    case 4:
        receive(fuzz::any_datagram(in), in.flag() ? peer : other);
        break;
    case 5:
        receive(test::error_packet(in.u16()), in.flag() ? peer : other);
        break;
    case 6:
        pass(watch_.deadline() ? std::max(*watch_.deadline() - now_, duration(0)) : 1s);
        break;
    case 7:
        pass(fuzz::duration_from(in));
        break;
    case 8: // time that nobody tells of
        now_ += fuzz::duration_from(in);
        break;
    case 9:
        run_max_ = std::max<std::uint16_t>(in.u8(), 1);
        break;
    case 10: // the socket's buffer
        room_ = in.u8();
        break;
    case 11:
        room_ = unlimited;
        drain(false);
        break;
    case 12:
        sender_.on_repeated_request();
        drain(false);
        break;
    case 13: // the OACK that grants all, or the ACK of ours
        receive(initiator_ ? test::oack(options_) : test::ack(0), initiator_ ? test::peer : peer);
        break;
    case 14:
        sender_.on_refused(make_error_code(boost::system::errc::connection_refused));
        drain(false);
        break;
    default:
        sender_.abort(peer_errc::disk_full, "stop", errc::stopped);
        drain(false);
        break;
    }
}

void harness::drain(bool announced) {
    sent_now_ = 0;
    rests_ = false;
    unsigned controls = 0;
    // Each block of a window may be a run of its own.
    for (unsigned i = 0; i < windowsize_max + 16U; ++i) {
        const sender::effect next = sender_.next(run_max_);
        if (const auto* rest = std::get_if<idle>(&next)) {
            require(rest->deadline.has_value(), "a sender that waits for nothing");
            watch_.take(*rest, announced, now_);
            rests_ = true;
            return;
        }
        if (const auto* control = std::get_if<send_control>(&next)) {
            require(++controls <= 2, "too many datagrams for one event");
            take(*control);
        } else if (const auto* run = std::get_if<send_data>(&next)) {
            if (!take(*run)) {
                return;
            }
        } else if (const auto* end = std::get_if<completed>(&next)) {
            watch_.take(*end);
            require(end->outcome.failed() || acked_ == last(), "success before the last ACK");
            const engine_counters& seen = sender_.counters();
            require(seen.blocks == sent_ && seen.retransmissions == repeats_, "wrong counters");
            require(end->outcome.failed() || seen.bytes == size_, "wrong count of octets");
        } else {
            watch_.take(std::get<closed>(next));
            return;
        }
    }
    require(false, "the sender never rests");
}

void harness::take(const send_control& control) {
    const auto op = watch_.take(control, sender_.peer());
    if (!op || *op == opcode::error) {
        return;
    }
    require(*op == (initiator_ ? opcode::wrq : opcode::oack), "a datagram no sender sends");
    require(sent_ == 0, "an opening after DATA");
    const bytes_view octets = control.datagram;
    repeats_ += opening_.empty() ? 0U : 1U;
    require(opening_.empty() || std::ranges::equal(opening_, octets), "another opening");
    opening_.assign(octets.begin(), octets.end());
}

bool harness::take(const send_data& run) {
    const std::uint64_t end = run.first_block + run.count - 1;
    require(!watch_.is_completed(), "DATA after the end");
    require(run.count >= 1 && run.count <= run_max_, "a run of no or too many blocks");
    if (!size_told_ && end >= last()) {
        // The read of this run came short.
        size_told_ = true;
        sender_.on_source_end(size_);
        return true;
    }
    require(end <= last(), "a run behind the last block");
    require(run.first_block > acked_, "an acknowledged block is sent again");
    require(end <= acked_ + sender_.agreed().windowsize, "more than windowsize blocks in flight");
    require(run.retransmission == (run.first_block <= sent_), "wrong retransmission flag");
    require(config_.wrap != rollover::forbidden || end <= 65535, "a block without a number");
    const std::uint16_t count = std::min(run.count, room_);
    if (room_ != unlimited) {
        room_ = static_cast<std::uint16_t>(room_ - count);
    }
    sender_.on_sent(run, count, now_);
    const std::uint64_t left = run.first_block + count - 1;
    repeats_ += std::min(left, sent_) + 1 - std::min(run.first_block, std::min(left, sent_) + 1);
    sent_ = std::max(sent_, left);
    sent_now_ += count;
    require(sent_now_ <= sender_.agreed().windowsize, "more than a window for one event");
    return count == run.count;
}

void harness::finish() {
    watch_.nothing_arrives();
    room_ = unlimited;
    run_max_ = unlimited;
    drain(false);
    // The longest timeout, each of 5 sends again after a repeated ACK: far below two hours.
    const time_point end = now_ + 2h;
    while (!watch_.is_closed()) {
        require(now_ < end, "the transfer is never given up");
        pass(std::max(*watch_.deadline() - now_, duration(0)));
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    harness h(in);
    for (int events = 0; !in.empty() && !h.over() && events < fuzz::events_max; ++events) {
        h.event(in);
    }
    h.finish();
    return 0;
}
