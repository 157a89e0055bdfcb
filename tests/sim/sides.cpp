#include <tftp/wire/packet.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/content.hpp>
#include <sim/driver.hpp>

namespace tftp::sim {

namespace {

/// More effects than this in a row mean that the engine never rests.
constexpr unsigned effects_max = 200'000;

} // namespace

sending_driver::sending_driver(
    const endpoint& at,
    const driver_config& config,
    const engine_config& engine,
    std::uint64_t size,
    std::uint64_t seed,
    const journal& log,
    const sender& s
)
    : driver(at, config, engine, size, seed, log), sender_(s) {
    if (!config.size_unknown) {
        sender_.on_source_end(size);
        size_told_ = true;
    }
}

void sending_driver::feed(network& net, const datagram& d) {
    const bool ack = d.octets.size() >= header_size && d.octets[1] == std::byte{4};
    const bool repeated = ack && d.from == peer() && sent_ > 0 && d.acked <= acked_;
    const bool silence = repeated && rests() && agreed().windowsize == 1;
    const std::uint64_t before = state().data_sent;
    if (ack && d.from == peer()) {
        acked_ = std::max(acked_, d.acked);
    }
    input(d.octets, d.from, net.now());
    drain(net);
    require(!silence || state().data_sent == before, "DATA for a duplicate ACK at windowsize 1");
}

void sending_driver::announce_deadline(time_point now) {
    sender_.on_deadline(now);
}

void sending_driver::drain(network& net) {
    for (unsigned i = 0; i < effects_max; ++i) {
        const sender::effect next = sender_.next(config().run_max);
        if (const auto* rest = std::get_if<idle>(&next)) {
            take(net, *rest);
            return;
        }
        if (const auto* run = std::get_if<send_data>(&next)) {
            if (!take_run(net, *run)) {
                restless();
                return;
            }
        } else if (const auto* control = std::get_if<send_control>(&next)) {
            take(net, *control);
        } else if (const auto* end = std::get_if<completed>(&next)) {
            take(net, *end);
            check_end(*end);
        } else {
            take(net, std::get<closed>(next));
            return;
        }
    }
    throw violation("the sender never rests");
}

bool sending_driver::take_run(network& net, const send_data& run) {
    const std::uint64_t blksize = agreed().blksize;
    const std::uint64_t last = size() / blksize + 1;
    require(!state().closed && !state().completed, "DATA after the end");
    require(run.count >= 1 && run.count <= config().run_max, "a run of no or too many blocks");
    require(!size_told_ || run.first_block + run.count - 1 <= last, "a run behind the last block");
    if (!size_told_ && run.first_block + run.count - 1 >= last) {
        // The read of this run came short.
        size_told_ = true;
        sender_.on_source_end(size());
        return true;
    }
    require(
        run.first_block + run.count - 1 <= acked_ + agreed().windowsize,
        "more than windowsize blocks in flight"
    );
    require(run.first_block > acked_, "an acknowledged block is sent again");
    require(run.retransmission == (run.first_block <= sent_), "wrong retransmission flag");
    if (net.now() < writable_at_) {
        return false;
    }
    if (random().chance(config().block_ppm)) {
        writable_at_ = net.now() + random().up_to(config().block_lag) + duration(1);
        net.wake(*this, writable_at_, wake_writable);
        if (random().chance(500'000)) {
            sender_.on_sent(run, 0, net.now());
        }
        return false;
    }
    const std::uint32_t every = config().pause_every;
    if (every != 0 && run.first_block > paused_ + every) {
        // What it sends is not there yet.
        paused_ += every;
        writable_at_ = net.now() + config().pause;
        net.wake(*this, writable_at_, wake_writable);
        return false;
    }
    const bool partial = random().chance(config().partial_ppm);
    auto count = partial ? static_cast<std::uint16_t>(random().between(1, run.count)) : run.count;
    if (every != 0) {
        count = static_cast<std::uint16_t>(
            std::min<std::uint64_t>(count, paused_ + every + 1 - run.first_block)
        );
    }
    std::array<std::byte, header_size + content::at_most> octets{};
    for (std::uint64_t block = run.first_block; block < run.first_block + count; ++block) {
        const std::uint64_t offset = (block - 1) * blksize;
        const auto payload = content::at(offset, std::min(blksize, size() - offset));
        const std::uint16_t wire = to_wire(block, engine().wrap);
        encode_data_header(std::span<std::byte, header_size>(octets.data(), header_size), wire);
        std::ranges::copy(payload, octets.begin() + header_size);
        if (log().on()) {
            log().line(
                net.now(), address(), fmt::format("  -> DATA {} ({} octets)", block, payload.size())
            );
        }
        net.send(address(), peer(), bytes_view(octets).first(header_size + payload.size()));
        ++state().data_sent;
        repeats_ += block <= sent_ ? 1U : 0U;
        sent_ = std::max(sent_, block);
    }
    sender_.on_sent(run, count, net.now());
    return true;
}

void sending_driver::check_control(const send_control& control) {
    const bool error = control.datagram[1] == std::byte{5};
    require(error || sent_ == 0, "an opening after DATA");
    if (!error) {
        repeats_ += opened_ ? 1U : 0U;
        opened_ = true;
    }
}

void sending_driver::check_end(const completed& end) {
    const engine_counters& seen = counters();
    require(seen.blocks == sent_, "wrong count of blocks");
    require(seen.retransmissions == repeats_, "wrong count of retransmissions");
    const std::uint64_t last = size() / agreed().blksize + 1;
    require(seen.all_sent == (sent_ == last), "all_sent is wrong");
    if (!end.outcome) {
        require(acked_ == last, "success, though the last block is not acknowledged");
        require(seen.bytes == size(), "wrong count of octets");
    }
}

receiving_driver::receiving_driver(
    const endpoint& at,
    const driver_config& config,
    const engine_config& engine,
    std::uint64_t size,
    std::uint64_t seed,
    const journal& log,
    const receiver& r
)
    : driver(at, config, engine, size, seed, log), receiver_(r) {}

void receiving_driver::feed(network& net, const datagram& d) {
    input(d.octets, d.from, net.now());
    drain(net);
}

void receiving_driver::settle(network& net) {
    if (committing_) {
        return;
    }
    if (end_seen_ && !state().committed) {
        committing_ = true;
        net.wake(*this, net.now() + random().up_to(config().commit_lag), wake_commit);
        return;
    }
    synced_ = blocks_;
    receiver_.on_stored(net.now());
    drain(net);
}

void receiving_driver::on_commit(network& net) {
    log().line(net.now(), address(), "  committed");
    committing_ = false;
    state().committed = true;
    synced_ = blocks_;
    receiver_.on_stored(net.now());
    drain(net);
}

void receiving_driver::announce_deadline(time_point now) {
    receiver_.on_deadline(now);
}

void receiving_driver::drain(network& net) {
    for (unsigned i = 0; i < effects_max; ++i) {
        const receiver::effect next = receiver_.next();
        if (const auto* rest = std::get_if<idle>(&next)) {
            take(net, *rest);
            return;
        }
        if (const auto* payload = std::get_if<store>(&next)) {
            take_store(*payload);
        } else if (const auto* control = std::get_if<send_control>(&next)) {
            take(net, *control);
        } else if (const auto* end = std::get_if<completed>(&next)) {
            take(net, *end);
            check_end(*end);
        } else {
            take(net, std::get<closed>(next));
            return;
        }
    }
    throw violation("the receiver never rests");
}

void receiving_driver::take_store(const store& s) {
    require(!state().completed, "store after the end");
    require(!end_seen_, "store after the last block");
    require(s.offset == state().bytes_stored, "a payload is stored at the wrong place");
    require(s.payload.size() <= agreed().blksize, "a payload larger than a block");
    require(s.last == (s.payload.size() < agreed().blksize), "the last block is mistaken");
    require(s.offset + s.payload.size() <= size(), "more octets than the file has");
    require(
        std::ranges::equal(s.payload, content::at(s.offset, s.payload.size())),
        "the stored octets are not those of the file"
    );
    state().bytes_stored += s.payload.size();
    ++blocks_;
    end_seen_ = s.last;
    require(!s.last || state().bytes_stored == size(), "the file ends early");
}

void receiving_driver::check_control(const send_control& control) {
    if (control.datagram[1] == std::byte{4}) {
        require(
            std::ranges::equal(control.datagram, encode_ack(to_wire(synced_, engine().wrap))),
            "an ACK of what is not in the sink"
        );
        ++state().acks_sent;
    } else if (control.datagram[1] != std::byte{5}) {
        require(blocks_ == 0, "an opening after DATA");
    }
}

void receiving_driver::check_end(const completed& end) {
    const engine_counters& seen = counters();
    require(seen.bytes == state().bytes_stored, "wrong count of octets");
    require(seen.blocks == blocks_, "wrong count of blocks");
    require(
        !end.outcome.failed() == state().committed || end.outcome.failed(),
        "success before the content is committed"
    );
    require(
        end.outcome.failed() || state().bytes_stored == size(), "success without the whole content"
    );
}

} // namespace tftp::sim
