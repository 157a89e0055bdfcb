#include "bench/client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <sys/socket.h>

namespace tftp::bench {
namespace {

/// Returns the number of a block close to `near` whose wire number is `wire`, as a distance.
[[nodiscard]] std::int64_t distance(std::uint64_t near, std::uint16_t wire) noexcept {
    return std::int16_t(std::uint16_t(wire - std::uint16_t(near)));
}

class download final : public client {
public:
    using client::client;

    void resume(clock::time_point now) override {
        if (!ended() && next_ > 1) {
            acknowledge(now);
        }
    }

private:
    void on_agreed(bool data_follows, clock::time_point now) override {
        if (!data_follows) {
            acknowledge(now);
        }
    }

    next_step on_data(std::uint16_t wire, bytes_view payload, clock::time_point now) override {
        const std::int64_t ahead = distance(next_, wire);
        if (ahead < 0) {
            return on_repeated(ahead, now);
        }
        if (ahead > 0) {
            return on_gap(now);
        }
        if (!matches(payload)) {
            ++with_.counts.wrong;
            fail("wrong content");
            return next_step::wait;
        }
        take(payload.size(), now);
        const bool last = payload.size() < agreed_.blksize;
        const bool window_whole = next_ - 1 - acked_ >= agreed_.windowsize;
        if (last || window_whole) {
            acknowledge(now);
        }
        if (last) {
            complete(now);
        }
        return last || window_whole ? next_step::wait : next_step::receive;
    }

    next_step on_ack(std::uint16_t, clock::time_point) override {
        fail("ACK from the sender of a file");
        return next_step::wait;
    }

    void repeat(clock::time_point now) override {
        ++with_.counts.acks_again;
        acknowledge(now);
    }

    /// True when `payload` is the next block of the content, of the right size.
    [[nodiscard]] bool matches(bytes_view payload) const noexcept {
        const std::size_t rest = with_.content.size() - offset_;
        return payload.size() == std::min<std::size_t>(rest, agreed_.blksize) &&
               (payload.empty() ||
                std::memcmp(with_.content.data() + offset_, payload.data(), payload.size()) == 0);
    }

    void take(std::size_t size, clock::time_point now) {
        first_block(now);
        progress(now);
        offset_ += size;
        ++next_;
        gap_reported_ = false;
        ++with_.counts.blocks;
        with_.counts.octets += size;
    }

    next_step on_repeated(std::int64_t ahead, clock::time_point now) {
        ++with_.counts.blocks_twice;
        // The end of what is there comes again: the last ACK was lost.
        if (ahead == -1 && next_ - 1 == acked_) {
            repeat(now);
        }
        return agreed_.windowsize > 1 ? next_step::receive : next_step::wait;
    }

    next_step on_gap(clock::time_point now) {
        ++with_.counts.blocks_early;
        // RFC 7440 s.4: say at once where the gap is, and once.
        if (!gap_reported_) {
            gap_reported_ = true;
            acknowledge(now);
        }
        return next_step::receive;
    }

    void acknowledge(clock::time_point now) {
        if (with_.holding && next_ > 1) {
            return;
        }
        acked_ = next_ - 1;
        send(encode_ack(std::uint16_t(acked_)), now);
    }

    /// Block that is expected.
    std::uint64_t next_ = 1;
    /// Block of the last ACK.
    std::uint64_t acked_ = 0;
    std::size_t offset_ = 0;
    bool gap_reported_ = false;
};

class upload final : public client {
public:
    using client::client;

private:
    void on_agreed(bool data_follows, clock::time_point now) override {
        last_block_ = with_.content.size() / agreed_.blksize + 1;
        // An ACK 0 is on its way to on_ack().
        if (!data_follows) {
            first_block(now);
            send_window(now);
        }
    }

    next_step on_data(std::uint16_t, bytes_view, clock::time_point) override {
        fail("DATA from the receiver of a file");
        return next_step::wait;
    }

    next_step on_ack(std::uint16_t wire, clock::time_point now) override {
        const std::int64_t ahead = distance(acked_, wire);
        const bool opening = sent_ == 0 && ahead == 0;
        // RFC 1123 4.2.3.1: no DATA for a duplicate ACK.
        if (!opening && (ahead <= 0 || acked_ + std::uint64_t(ahead) > sent_)) {
            return next_step::wait;
        }
        first_block(now);
        progress(now);
        count(std::uint64_t(ahead));
        if (acked_ == last_block_) {
            complete(now);
            return next_step::wait;
        }
        send_window(now);
        return next_step::wait;
    }

    void repeat(clock::time_point now) override { send_window(now); }

    void count(std::uint64_t blocks) {
        const std::size_t from = offset_of(acked_ + 1);
        acked_ += blocks;
        with_.counts.blocks += blocks;
        with_.counts.octets += std::min(offset_of(acked_ + 1), with_.content.size()) - from;
    }

    [[nodiscard]] std::size_t offset_of(std::uint64_t block) const noexcept {
        return std::size_t(block - 1) * agreed_.blksize;
    }

    /// Sends the window behind the last ACK.
    void send_window(clock::time_point now) {
        const std::uint64_t end = std::min(acked_ + agreed_.windowsize, last_block_);
        with_.counts.blocks_again += sent_ - std::min(sent_, acked_);
        const bool singly = !with_.how.batched || with_.how.loss_ppm != 0;
        const std::size_t at_once = singly ? 1 : segments_of(agreed_.blksize + header_size);
        for (std::uint64_t block = acked_ + 1; block <= end && !ended(); block += at_once) {
            send_run(block, std::min<std::uint64_t>(end, block + at_once - 1), now);
        }
        sent_ = std::max(sent_, end);
    }

    void send_run(std::uint64_t first, std::uint64_t last, clock::time_point now) {
        std::byte* const out = with_.ring.single().data();
        std::size_t size = 0;
        for (std::uint64_t block = first; block <= last; ++block) {
            const std::size_t offset = offset_of(block);
            const std::size_t part =
                std::min<std::size_t>(with_.content.size() - offset, agreed_.blksize);
            encode_data_header(
                std::span<std::byte, header_size>(out + size, header_size), std::uint16_t(block)
            );
            if (part != 0) {
                std::memcpy(out + size + header_size, with_.content.data() + offset, part);
            }
            size += header_size + part;
        }
        if (first == last) {
            send({out, size}, now);
        } else if (!send_segmented(fd(), {out, size}, agreed_.blksize + header_size)) {
            fail(errno == ECONNREFUSED ? "connection refused" : "segmented send failed");
        }
    }

    std::uint64_t last_block_ = 0;
    std::uint64_t acked_ = 0;
    /// The highest block ever sent.
    std::uint64_t sent_ = 0;
};

} // namespace

std::unique_ptr<client> begin_transfer(common& with, std::uint64_t number, clock::time_point now) {
    std::string name = with.how.name;
    if (const std::size_t place = name.find('%'); place != std::string::npos) {
        name.replace(place, 1, std::to_string(number));
    }
    if (with.how.put) {
        return std::make_unique<upload>(with, name, now);
    }
    return std::make_unique<download>(with, name, now);
}

} // namespace tftp::bench
