#pragma once

#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <sim/journal.hpp>
#include <sim/network.hpp>
#include <sim/prng.hpp>
#include <vector>

namespace tftp::sim {

/// How the program around an engine behaves. Probabilities are parts per million.
struct driver_config {
    /// Blocks that one send can take.
    std::uint16_t run_max = 64;
    /// Datagrams that are taken before the engine may acknowledge: 1..batch_max.
    std::uint16_t batch_max = 16;
    /// Time from an arrival until the program looks: 0..wake_lag.
    duration wake_lag{};
    /// Timers fire 0..timer_lag late.
    duration timer_lag{};
    /// Time that each datagram costs the program, one at a time; the answer leaves behind it.
    duration busy{};
    /// The program stops for `stall` at each datagram whose number is a multiple of `stall_every`;
    /// 0: never. From `stall_last` on it does not any more; 0: it goes on.
    duration stall{};
    std::uint32_t stall_every = 0;
    std::uint32_t stall_last = 0;
    /// The same for what it sends: it has no more for `pause` behind each block whose number is a
    /// multiple of `pause_every`.
    duration pause{};
    std::uint32_t pause_every = 0;
    /// Datagrams before this one cost nothing.
    std::uint32_t busy_from = 0;
    /// Per run: the socket takes a part of it only, or nothing until 0..block_lag later.
    std::uint32_t partial_ppm = 0;
    std::uint32_t block_ppm = 0;
    duration block_lag{};
    /// The commit of the content takes 0..commit_lag.
    duration commit_lag{};
    /// Per batch: the deadline is announced though it has not come.
    std::uint32_t early_ppm = 0;
    /// Per batch: a datagram that is no TFTP, or that comes from somebody else.
    std::uint32_t malformed_ppm = 0;
    std::uint32_t stranger_ppm = 0;
    /// Per batch: this side ends the transfer.
    std::uint32_t abort_ppm = 0;
    /// The source knows its size only at its end.
    bool size_unknown = false;
};

/// What one side did and how it ended.
struct side_report {
    bool completed = false;
    bool closed = false;
    error_code outcome;
    time_point completed_at;
    engine_counters counters;
    parameters agreed;
    /// Seen on the wire, repeats included.
    std::uint64_t data_sent = 0;
    std::uint64_t acks_sent = 0;
    /// Receiver: bytes in the sink, and whether the end is among them and committed.
    std::uint64_t bytes_stored = 0;
    bool committed = false;
    /// Longest time without progress before it ended.
    duration longest_stall{};
};

/// Drives one engine as a real program would, and checks all that it does.
class driver : public station {
public:
    driver(
        const endpoint& at,
        const driver_config& config,
        const engine_config& engine,
        std::uint64_t size,
        std::uint64_t seed,
        const journal& log
    );

    void on_arrival(network& net, const datagram& arrived) final;
    void on_wake(network& net, std::uint32_t what) final;

    /// Asks the engine for its first effects.
    void begin(network& net) { drain(net); }

    /// Sends the first control datagram again: what a server does when the same request comes
    /// again. Nothing is sent when there was none or the peer was heard already.
    void repeat_opening(network& net);

    [[nodiscard]] const side_report& report() const noexcept { return report_; }

    /// Returns the peer of the transfer as the engine sees it.
    [[nodiscard]] virtual endpoint peer() const = 0;

protected:
    static constexpr std::uint32_t wake_inbox = 0;
    static constexpr std::uint32_t wake_writable = 1;
    static constexpr std::uint32_t wake_commit = 2;
    /// And above: timers, the number says which.
    static constexpr std::uint32_t wake_timer = 16;

    /// Hands a datagram to the engine.
    virtual void input(bytes_view octets, const endpoint& from, time_point now) = 0;
    /// Hands a datagram that came over the network to the engine and takes what follows.
    virtual void feed(network& net, const datagram& d) = 0;
    /// The batch is over.
    virtual void settle(network& net) = 0;
    virtual void announce_deadline(time_point now) = 0;
    virtual void on_commit(network& net) = 0;
    /// Takes effects until idle or closed.
    virtual void drain(network& net) = 0;
    /// A datagram of the engine that is not DATA.
    virtual void check_control(const send_control& control) = 0;
    virtual void stop() = 0;
    [[nodiscard]] virtual const engine_counters& counters() const = 0;
    [[nodiscard]] virtual const parameters& agreed() const = 0;
    [[nodiscard]] virtual bool opening() const = 0;
    /// Blocks 1..this are known to have passed: what progress means for this side.
    [[nodiscard]] virtual std::uint64_t progressed() const = 0;

    [[nodiscard]] virtual bool waits_for_commit() const { return false; }

    void take(network& net, const send_control& control);
    void take(network& net, const idle& rest);
    void take(network& net, const completed& end);
    void take(network& net, const closed& end);

    [[nodiscard]] const driver_config& config() const noexcept { return config_; }

    /// Returns the size of the content that is transferred, in bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    [[nodiscard]] prng& random() noexcept { return random_; }

    [[nodiscard]] const journal& log() const noexcept { return log_; }

    [[nodiscard]] side_report& state() noexcept { return report_; }

    [[nodiscard]] const engine_config& engine() const noexcept { return engine_; }

    /// The last drain ended in `idle`: the engine waits for input.
    [[nodiscard]] bool rests() const noexcept { return rests_; }

    /// The engine has more to do than it may now.
    void restless() noexcept { rests_ = false; }

private:
    void work(network& net);
    [[nodiscard]] duration cost() noexcept;
    void fire(network& net);
    void arm(network& net, time_point at);
    void disturb(network& net);
    void note_disturbance(network& net, const endpoint& from, bytes_view octets);
    void disturb_by_malformed(network& net);
    void disturb_by_stranger(network& net);
    void check_undisturbed(bool rested, std::optional<time_point> deadline) const;
    void check_progress(time_point now);
    [[nodiscard]] duration patience() const;

    driver_config config_;
    engine_config engine_;
    std::uint64_t size_;
    prng random_;
    const journal& log_;
    side_report report_;
    std::deque<datagram> inbox_;
    std::vector<std::byte> opening_;
    std::uint32_t datagrams_ = 0;
    bool work_pending_ = false;
    bool rests_ = false;
    bool has_opening_ = false;
    std::optional<time_point> deadline_;
    std::optional<time_point> timer_;
    std::uint32_t timer_number_ = wake_timer;
    std::optional<time_point> progress_at_;
    std::uint64_t progress_ = 0;
    bool was_opening_ = true;
    /// Whom the engine may tell ERROR 5 once.
    std::optional<endpoint> stranger_;
};

/// Drives a `sender`.
class sending_driver final : public driver {
public:
    sending_driver(
        const endpoint& at,
        const driver_config& config,
        const engine_config& engine,
        std::uint64_t size,
        std::uint64_t seed,
        const journal& log,
        const sender& s
    );

    [[nodiscard]] endpoint peer() const override { return sender_.peer(); }

private:
    void feed(network& net, const datagram& d) override;

    void settle(network&) override {}

    void announce_deadline(time_point now) override;

    void on_commit(network&) override {}

    void drain(network& net) override;
    void check_control(const send_control& control) override;
    void check_end(const completed& end);
    /// Returns false when the socket is full: nothing more is taken now.
    bool take_run(network& net, const send_data& run);

    [[nodiscard]] const engine_counters& counters() const override { return sender_.counters(); }

    [[nodiscard]] const parameters& agreed() const override { return sender_.agreed(); }

    void input(bytes_view octets, const endpoint& from, time_point now) override {
        sender_.on_datagram(octets, from, now);
    }

    void stop() override { sender_.abort(peer_errc::undefined, "stopped", errc::stopped); }

    [[nodiscard]] bool opening() const override { return sender_.opening(); }

    [[nodiscard]] std::uint64_t progressed() const override { return sender_.base() + sent_; }

    sender sender_;
    bool size_told_ = false;
    time_point writable_at_ = network::start;
    /// Highest block the peer acknowledged, as the network delivered it.
    std::uint64_t acked_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t repeats_ = 0;
    bool opened_ = false;
    /// Blocks before the last pause.
    std::uint64_t paused_ = 0;
};

/// Drives a `receiver`.
class receiving_driver final : public driver {
public:
    receiving_driver(
        const endpoint& at,
        const driver_config& config,
        const engine_config& engine,
        std::uint64_t size,
        std::uint64_t seed,
        const journal& log,
        const receiver& r
    );

    [[nodiscard]] endpoint peer() const override { return receiver_.peer(); }

private:
    void feed(network& net, const datagram& d) override;
    void settle(network& net) override;
    void announce_deadline(time_point now) override;
    void on_commit(network& net) override;
    void drain(network& net) override;
    void check_control(const send_control& control) override;
    void check_end(const completed& end);
    void take_store(const store& s);

    [[nodiscard]] const engine_counters& counters() const override { return receiver_.counters(); }

    [[nodiscard]] const parameters& agreed() const override { return receiver_.agreed(); }

    void input(bytes_view octets, const endpoint& from, time_point now) override {
        receiver_.on_datagram(octets, from, now);
    }

    void stop() override { receiver_.abort(peer_errc::disk_full, "disk full", errc::stopped); }

    [[nodiscard]] bool opening() const override { return receiver_.opening(); }

    [[nodiscard]] std::uint64_t progressed() const override { return blocks_; }

    [[nodiscard]] bool waits_for_commit() const override { return committing_; }

    receiver receiver_;
    std::uint64_t blocks_ = 0;
    /// Blocks that are in the sink since the last on_stored.
    std::uint64_t synced_ = 0;
    bool end_seen_ = false;
    bool committing_ = false;
};

} // namespace tftp::sim
