#include "system/slow_peer.hpp"

#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "system/daemon.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace tftp::test {

namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t blksize = 512;

/// Half of the least margin that the programs leave to a peer.
constexpr auto late_max = std::chrono::milliseconds(50);

std::uint16_t block_in(const arrived& message) {
    return static_cast<std::uint16_t>(
        std::to_integer<unsigned>(message.octets[2]) << 8 |
        std::to_integer<unsigned>(message.octets[3])
    );
}

option_pairs options_of(const slowness& how) {
    return how.window == 1 ? option_pairs()
                           : option_pairs{{"windowsize", std::to_string(how.window)}};
}

/// One end of a transfer. What belongs to no transfer ends it, as a silence does.
class slow_end {
public:
    slow_end(udp_client& port, const slowness& how)
        : port_(port), how_(how), begun_(steady::now()) {}

    /// Receives the file from `from`; `first` has come already.
    void read(std::optional<arrived> first);

    /// Sends `content`.
    void write(std::string_view content);

    /// Waits for the answer to a request; an OACK is agreed to when `reads`. Returns what else it
    /// was.
    std::optional<arrived> open(const tftp::endpoint& where, const datagram& request, bool reads);

    /// Answers a request. An OACK to one to read has been agreed to then.
    void answer(const arrived& request);

    void work(std::chrono::microseconds time);

    [[nodiscard]] seen_slowly result();

private:
    /// Takes a datagram that has come before.
    void repeated();

    /// Waits for the ACK of that block.
    bool take_acks(unsigned window_end);

    udp_client& port_;
    const slowness& how_;
    steady::time_point begun_;
    tftp::endpoint peer_;
    /// The last block that was read, or acknowledged to the writer.
    unsigned done_ = 0;
    seen_slowly seen_;
};

void slow_end::work(std::chrono::microseconds time) {
    // What makes the peer slow, not a wait for something to happen.
    const auto until = steady::now() + time;
    std::this_thread::sleep_until(until);
    const auto late = steady::now() - until;
    seen_.late += late;
    seen_.far_too_late += late > late_max ? 1U : 0U;
}

void slow_end::repeated() {
    work(how_.copy_takes);
    seen_.repeats.push_back(done_);
}

void slow_end::read(std::optional<arrived> first) {
    const unsigned last = how_.blocks + 1U;
    while (done_ < last) {
        const std::optional<arrived> message = first ? std::exchange(first, {}) : port_.receive();
        if (!message || opcode_of(*message) == 5) {
            return;
        }
        const unsigned block = opcode_of(*message) == 3 ? block_in(*message) : 0U;
        if (block == done_ + 1) {
            work(how_.takes(block));
            done_ = block;
            seen_.content += text(bytes_view(message->octets).subspan(4));
        } else if (block <= done_) {
            repeated();
        }
        // In lockstep a copy is answered, too: that is what the peers of the field do.
        const bool answered = block == done_ ? block % how_.window == 0 || block == last
                                             : how_.window == 1 && block < done_;
        if (block != 0 && answered) {
            port_.send(peer_, ack(static_cast<std::uint16_t>(block)));
        }
    }
    seen_.whole = true;
}

bool slow_end::take_acks(unsigned window_end) {
    while (done_ != window_end) {
        const std::optional<arrived> message = port_.receive();
        if (!message || opcode_of(*message) == 5) {
            return false;
        }
        const bool in_window = opcode_of(*message) == 4 && block_in(*message) > done_;
        if (in_window) {
            done_ = block_in(*message);
        }
        if (!in_window || done_ != window_end) {
            repeated();
        }
    }
    return true;
}

void slow_end::write(std::string_view content) {
    const unsigned last = how_.blocks + 1U;
    while (done_ < last) {
        const unsigned window_end = std::min<unsigned>(done_ + how_.window, last);
        for (unsigned block = done_ + 1; block <= window_end; ++block) {
            work(how_.takes(block));
            port_.send(peer_, data_of(static_cast<std::uint16_t>(block), block_of(content, block)));
        }
        if (!take_acks(window_end)) {
            return;
        }
    }
    seen_.whole = true;
}

std::optional<arrived>
slow_end::open(const tftp::endpoint& where, const datagram& request, bool reads) {
    port_.send(where, request);
    std::optional<arrived> answer = port_.receive();
    if (!answer) {
        return std::nullopt;
    }
    peer_ = answer->from;
    if (opcode_of(*answer) != 6) {
        return answer;
    }
    if (reads) {
        work(how_.takes(0));
        port_.send(peer_, ack(0));
    }
    return std::nullopt;
}

void slow_end::answer(const arrived& request) {
    const bool writes = opcode_of(request) == 1;
    peer_ = request.from;
    if (how_.window == 1 && writes) {
        return;
    }
    work(how_.takes(0));
    port_.send(peer_, how_.window == 1 ? ack(0) : oack(options_of(how_)));
    if (writes) {
        std::optional<arrived> message = port_.receive();
        while (message && opcode_of(*message) != 4) {
            repeated();
            message = port_.receive();
        }
    }
}

seen_slowly slow_end::result() {
    seen_.elapsed = steady::now() - begun_;
    while (port_.receive(std::chrono::milliseconds(0))) {
        seen_.repeats.push_back(done_);
    }
    return seen_;
}

} // namespace

std::chrono::duration<double> slowness::ideal() const {
    std::chrono::duration<double> sum{};
    for (unsigned block = 0; block <= blocks + 1U; ++block) {
        sum += takes(block);
    }
    return sum;
}

std::size_t seen_slowly::repeats_before(unsigned block) const {
    return static_cast<std::size_t>(std::ranges::count_if(repeats, [&](unsigned each) {
        return each < block;
    }));
}

std::string content_of(const slowness& how) {
    return make_content(how.blocks * blksize + 1, how.window);
}

seen_slowly get_slowly(const tftp::endpoint& where, const slowness& how) {
    udp_client port;
    slow_end self(port, how);
    self.read(self.open(where, rrq(how.name, options_of(how)), true));
    return self.result();
}

seen_slowly put_slowly(const tftp::endpoint& where, const slowness& how) {
    udp_client port;
    slow_end self(port, how);
    static_cast<void>(self.open(where, wrq(how.name, options_of(how)), false));
    self.write(content_of(how));
    return self.result();
}

seen_slowly serve_slowly(udp_client& port, const slowness& how) {
    const std::optional<arrived> request = port.receive();
    slow_end self(port, how);
    if (!request) {
        return self.result();
    }
    const bool writes = opcode_of(*request) == 1;
    self.answer(*request);
    if (writes) {
        self.write(content_of(how));
    } else {
        self.read(std::nullopt);
    }
    return self.result();
}

} // namespace tftp::test
