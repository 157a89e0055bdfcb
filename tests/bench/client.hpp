#pragma once

#include "bench/batch.hpp"
#include "bench/plan.hpp"
#include "bench/tally.hpp"
#include "sim/prng.hpp"

#include <tftp/base/bytes.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tftp::bench {

using clock = std::chrono::steady_clock;

/// What all clients of a run share.
struct common {
    const plan& how;
    bytes_view content;
    tally& counts;
    receive_ring& ring;
    sim::prng random;
    /// While true, no client acknowledges DATA.
    bool holding = false;
};

/// One transfer on a socket of its own, plain RFC 1350, 2347, 2348 and 7440 and nothing clever: no
/// engine of the library, so that it can find faults in one.
class client {
public:
    /// Opens a socket and sends the request. Throws std::system_error without a socket.
    client(common& with, const std::string& name, clock::time_point now);
    virtual ~client() = default;
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// True once the transfer is counted as completed or failed.
    [[nodiscard]] bool ended() const noexcept { return ended_; }

    /// True from the first answer on.
    [[nodiscard]] bool answered() const noexcept { return connected_; }

    /// When on_time() is due.
    [[nodiscard]] clock::time_point deadline() const noexcept;

    void on_readable(clock::time_point now);
    /// Repeats the last packet, or gives up.
    void on_time(clock::time_point now);
    /// Ends a transfer that runs as failed.
    void fail(const std::string& why);

    /// Goes on after common::holding.
    virtual void resume(clock::time_point) {}

protected:
    /// What to do next with a socket.
    enum class next_step { wait, receive };

    /// The options are known; `data_follows`: the first answer was no OACK but is the first packet.
    virtual void on_agreed(bool data_follows, clock::time_point now) = 0;
    virtual next_step on_data(std::uint16_t block, bytes_view payload, clock::time_point now) = 0;
    virtual next_step on_ack(std::uint16_t block, clock::time_point now) = 0;
    virtual void repeat(clock::time_point now) = 0;

    void send(bytes_view datagram, clock::time_point now);
    void progress(clock::time_point now);
    void first_block(clock::time_point now);
    void complete(clock::time_point now);

    /// True when a packet is to be dropped.
    [[nodiscard]] bool lost() noexcept { return with_.random.chance(with_.how.loss_ppm); }

    common& with_;
    parameters agreed_{};

private:
    void send_request(clock::time_point now);
    void receive_first(clock::time_point now);
    void on_first(bytes_view datagram, clock::time_point now);
    [[nodiscard]] next_step on_datagram(bytes_view datagram, clock::time_point now);
    [[nodiscard]] next_step on_packet(bytes_view datagram, clock::time_point now);
    [[nodiscard]] next_step on_other(bytes_view datagram, clock::time_point now);
    void receive_one_by_one(clock::time_point now);
    void receive_batches(clock::time_point now);
    /// The peer has closed, or there is nothing to receive.
    void on_receive_error();
    void agree(const parameters& agreed);

    unique_fd fd_;
    offer offered_;
    std::string name_;
    std::uint32_t requests_ = 0;
    bool connected_ = false;
    bool ended_ = false;
    bool has_block_ = false;
    clock::time_point begun_;
    clock::time_point last_sent_;
    clock::time_point last_progress_;
};

/// Begins the transfer with this number.
[[nodiscard]] std::unique_ptr<client>
begin_transfer(common& with, std::uint64_t number, clock::time_point now);

} // namespace tftp::bench
