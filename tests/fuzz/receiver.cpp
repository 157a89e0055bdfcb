// The receiver under any row of events. A model of what is stored, kept by the test itself, says
// what may be acknowledged; the engine must also come to an end once nobody speaks any more.
//
// Input: configuration, options; then events, each an octet and its operands.
#include "fuzz/engine.hpp"

#include <tftp/engine/receiver.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>

using namespace tftp;
using namespace std::chrono_literals;
using fuzz::require;

namespace {

class harness {
public:
    explicit harness(fuzz::input& in)
        : initiator_(in.flag()),
          config_(fuzz::config_from(in)),
          options_(fuzz::options_from(in)),
          receiver_(make()) {
        drain(false);
    }

    void event(fuzz::input& in);
    /// Nobody speaks any more: what is stored is told, then only time passes.
    void finish();

    [[nodiscard]] bool over() const { return watch_.is_closed(); }

private:
    [[nodiscard]] receiver make() const {
        const test::datagram request = test::wrq("file", options_);
        return initiator_ ? receiver::request(
                                "file",
                                transfer_mode::octet,
                                fuzz::offer_from(options_),
                                test::server,
                                config_,
                                now_
                            )
                                .value()
                          : receiver::respond(
                                fuzz::answer_to(request, std::nullopt), test::peer, config_, now_
                            );
    }

    void receive(const test::datagram& octets, const endpoint& from);
    void receive_data(fuzz::input& in, const endpoint& from);
    void pass(duration d);
    void stored();
    void drain(bool announced);
    void take(const send_control& control);
    void take(const store& s);
    void check_end(const error_code& outcome);

    bool initiator_;
    engine_config config_;
    test::option_pairs options_;
    time_point now_ = fuzz::start;
    receiver receiver_;
    fuzz::watcher watch_;
    test::datagram opening_;
    /// What the engine was given last; stores point into it.
    test::datagram arrived_;
    bool may_store_ = false;
    std::uint64_t blocks_ = 0;
    std::uint64_t bytes_ = 0;
    /// Blocks that are in the sink since the last on_stored.
    std::uint64_t synced_ = 0;
    std::uint64_t acked_ = 0;
    /// Something else than the next block came since then.
    bool asked_ = false;
    bool whole_ = false;
    bool committed_ = false;
};

/// DATA around the block that is expected, of any size around the agreed one.
void harness::receive_data(fuzz::input& in, const endpoint& from) {
    const std::uint8_t octet = in.u8();
    const std::uint8_t shape = in.u8();
    const std::size_t blksize = receiver_.agreed().blksize;
    const std::size_t sizes[] = {blksize, blksize, blksize, blksize - 1, 0, blksize + 1};
    const std::uint64_t block = blocks_ + 1 + octet / 16 - (octet % 16 < 8 ? octet % 16 : 0);
    receive(
        fuzz::data_of(to_wire(block, config_.wrap), std::min<std::size_t>(sizes[shape % 6], 65503)),
        from
    );
}

void harness::receive(const test::datagram& octets, const endpoint& from) {
    watch_.arrives(octets, from);
    arrived_ = octets;
    may_store_ = from.same_host(receiver_.peer());
    const std::uint64_t before = blocks_;
    const bool expected = from == receiver_.peer() && !receiver_.opening() && !whole_ &&
                          !watch_.is_completed() && octets.size() >= header_size &&
                          octets[0] == std::byte{0} && octets[1] == std::byte{3} &&
                          octets.size() - header_size <= receiver_.agreed().blksize &&
                          std::ranges::equal(
                              bytes_view(octets).subspan(2, 2),
                              bytes_view(test::ack(to_wire(blocks_ + 1, config_.wrap))).subspan(2)
                          );
    receiver_.on_datagram(arrived_, from, now_);
    drain(false);
    may_store_ = false;
    asked_ = asked_ || blocks_ == before;
    require(
        !expected || blocks_ == before + 1 || watch_.is_completed(), "the next block is not taken"
    );
}

void harness::pass(duration d) {
    now_ += d;
    receiver_.on_deadline(now_);
    drain(true);
}

void harness::stored() {
    committed_ = committed_ || whole_;
    synced_ = blocks_;
    const std::uint64_t before = acked_;
    receiver_.on_stored(now_);
    drain(false);
    require(
        acked_ == before || whole_ || asked_ || acked_ - before >= receiver_.agreed().windowsize,
        "an ACK inside a window that nothing asked for"
    );
    asked_ = false;
}

void harness::event(fuzz::input& in) {
    watch_.nothing_arrives();
    const endpoint peer = receiver_.peer();
    const endpoint other = in.flag() ? peer.with_port(in.u16()) : test::stranger;
    const std::uint8_t what = in.u8();
    switch (what % 16) {
    case 0:
        receive_data(in, peer);
        break;
    case 1:
        receive_data(in, other);
        break;
    case 2: // the next block, stored at once
        receive(
            fuzz::data_of(to_wire(blocks_ + 1, config_.wrap), receiver_.agreed().blksize),
            initiator_ && receiver_.opening() ? test::peer : peer
        );
        stored();
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
    case 10:
        stored();
        break;
    case 11:
        if (whole_ && !committed_) {
            receiver_.on_commit_begun();
            drain(false);
        }
        break;
    case 12:
        if (receiver_.committing()) {
            receiver_.on_commit_failed(peer_errc::disk_full, "no room", errc::too_large);
            drain(false);
        } else {
            receiver_.on_repeated_request();
            drain(false);
        }
        break;
    case 13: // the OACK that grants all
        receive(test::oack(options_), initiator_ ? test::peer : peer);
        break;
    case 14:
        receiver_.on_refused(make_error_code(boost::system::errc::connection_refused));
        drain(false);
        break;
    default:
        receiver_.abort(peer_errc::disk_full, "stop", errc::stopped);
        drain(false);
        break;
    }
}

void harness::drain(bool announced) {
    unsigned controls = 0;
    for (unsigned i = 0; i < 8; ++i) {
        const receiver::effect next = receiver_.next();
        if (const auto* rest = std::get_if<idle>(&next)) {
            require(rest->deadline || synced_ != blocks_, "a receiver that waits for nothing");
            watch_.take(*rest, announced, now_);
            return;
        }
        if (const auto* control = std::get_if<send_control>(&next)) {
            require(++controls <= 2, "too many datagrams for one event");
            take(*control);
        } else if (const auto* payload = std::get_if<store>(&next)) {
            take(*payload);
        } else if (const auto* end = std::get_if<completed>(&next)) {
            watch_.take(*end);
            check_end(end->outcome);
        } else {
            watch_.take(std::get<closed>(next));
            return;
        }
    }
    require(false, "the receiver never rests");
}

void harness::take(const send_control& control) {
    const auto op = watch_.take(control, receiver_.peer());
    if (!op || *op == opcode::error) {
        return;
    }
    const bytes_view octets = control.datagram;
    if (*op == opcode::ack) {
        const auto expected = encode_ack(to_wire(synced_, config_.wrap));
        require(std::ranges::equal(octets, expected), "an ACK of what is not in the sink");
        require(!whole_ || committed_, "the last ACK before the commit");
        acked_ = synced_;
        return;
    }
    require(*op == (initiator_ ? opcode::rrq : opcode::oack), "a datagram no receiver sends");
    require(blocks_ == 0, "an opening after DATA");
    require(opening_.empty() || std::ranges::equal(opening_, octets), "another opening");
    opening_.assign(octets.begin(), octets.end());
}

void harness::take(const store& s) {
    const std::uint64_t blksize = receiver_.agreed().blksize;
    require(!watch_.is_completed(), "a store after the end");
    require(may_store_, "a store that no datagram of the peer caused");
    require(!whole_, "a store behind the last block");
    require(s.offset == bytes_, "a gap in what is stored");
    require(s.payload.size() <= blksize, "a payload larger than a block");
    require(s.last == (s.payload.size() < blksize), "the last block is mistaken");
    const auto expected = test::ack(to_wire(blocks_ + 1, config_.wrap));
    require(
        std::ranges::equal(bytes_view(arrived_).subspan(2, 2), bytes_view(expected).subspan(2)),
        "another block is stored"
    );
    require(
        s.payload.size() + header_size == arrived_.size() &&
            (s.payload.empty() || s.payload.data() == arrived_.data() + header_size),
        "another payload is stored"
    );
    may_store_ = false;
    bytes_ += s.payload.size();
    ++blocks_;
    whole_ = s.last;
}

void harness::check_end(const error_code& outcome) {
    const engine_counters& seen = receiver_.counters();
    require(seen.bytes == bytes_ && seen.blocks == blocks_, "wrong counters");
    require(outcome.failed() || committed_, "success before the commit");
    const auto announced = receiver_.agreed().tsize;
    require(outcome.failed() || bytes_ >= announced.value_or(0), "success, though octets miss");
}

void harness::finish() {
    watch_.nothing_arrives();
    if (!watch_.is_closed()) {
        stored();
    }
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
