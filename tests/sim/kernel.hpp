#pragma once

#include <tftp/socket/datagram_socket.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <sim/journal.hpp>
#include <sim/network.hpp>
#include <sim/port_watch.hpp>

namespace tftp::sim {

/// Whoever speaks from here must get no answer: the requests are not to be served.
inline constexpr endpoint unanswered_host = endpoint::ipv4(10, 9, 9, 9, 0);

/// What the kernel of a host gives and refuses. Probabilities are parts per million of calls.
struct kernel_config {
    /// Bytes of a socket's receive buffer as the system accounts them, and the most it grants.
    std::size_t receive_buffer = 212'992;
    std::size_t receive_buffer_max = 425'984;
    /// Receives are coalesced where a port asks for it.
    bool coalesces = true;
    /// No ICMP for datagrams to ports that nobody has open.
    bool silent = false;
    std::uint32_t open_ppm = 0;
    /// A send is refused (EPERM, ENETUNREACH) or lost in the device (ENOBUFS).
    std::uint32_t refuse_ppm = 0;
    std::uint32_t lose_ppm = 0;
    /// The socket takes a part of a run, or nothing, and no more until 0..full_lag later.
    std::uint32_t full_ppm = 0;
    duration full_lag{};
    std::uint32_t watch_ppm = 0;
    /// Bytes of a packet, headers included, that the device sends; larger ones are refused
    /// (EMSGSIZE). 0: no bound.
    std::size_t mtu = 0;
};

class sim_socket;

/// A program on a host: something with sockets that is woken.
class program : public station {
public:
    using station::station;

    void on_arrival(network&, const datagram&) final {}

    /// `from` became readable, or writable after it was not.
    virtual void on_socket(sim_socket& from) = 0;
};

/// The kernel of one host: opens sockets on the simulated network.
class kernel final : public socket_factory {
public:
    struct parts {
        network& net;
        const journal& log;
        verdict& judge;
        tally& seen;
    };

    kernel(
        const parts& world,
        const endpoint& host,
        const kernel_config& config,
        const watch_rules& rules,
        std::uint64_t seed
    )
        : world_(world), host_(host), config_(config), rules_(rules), random_(seed) {}

    /// Whom the sockets wake. Lifetime: borrowed while sockets are open.
    void serve(program& owner) noexcept { owner_ = &owner; }

    [[nodiscard]] result<std::unique_ptr<datagram_socket>>
    open(const endpoint& local, const socket_options& options) noexcept override;

    /// Port of the next sockets that ask for none; 0 for fresh ones.
    std::uint16_t next_port = 0;

    /// Called for each transfer that is over: when its port closes, or at its end where it shares
    /// one.
    std::function<void(const wire_watch&)> on_over;

    /// The program works on behalf of this descriptor; -1 for none.
    int working_on = -1;

    /// Returns the socket with this descriptor; null when it is closed.
    [[nodiscard]] sim_socket* find(int fd) const noexcept;
    /// Returns the socket bound to `local`; null when there is none.
    [[nodiscard]] sim_socket* find(const endpoint& local) const noexcept;

    [[nodiscard]] const std::map<int, sim_socket*>& sockets() const noexcept { return by_fd_; }

    [[nodiscard]] const kernel_config& config() const noexcept { return config_; }

    [[nodiscard]] const parts& world() const noexcept { return world_; }

    /// The host is switched off, or its program killed: see `silent`.
    void silence(bool on) noexcept { config_.silent = on; }

private:
    friend class sim_socket;

    parts world_;
    endpoint host_;
    kernel_config config_;
    watch_rules rules_;
    prng random_;
    program* owner_ = nullptr;
    std::map<int, sim_socket*> by_fd_;
    int next_fd_ = 1'000'000;
    std::uint16_t next_ephemeral_ = 32768;
};

/// One UDP socket.
class sim_socket final : public station, public datagram_socket {
public:
    sim_socket(
        kernel& host, const endpoint& local, const socket_options& options, int fd, port_use use
    );
    sim_socket(const sim_socket&) = delete;
    sim_socket& operator=(const sim_socket&) = delete;
    ~sim_socket() override;

    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override;
    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept override;
    [[nodiscard]] error_code
    send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept override;
    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override;

    [[nodiscard]] endpoint local_endpoint() const noexcept override { return address(); }

    [[nodiscard]] std::size_t receive_buffer() const noexcept override { return granted_; }

    [[nodiscard]] int native_handle() const noexcept override { return fd_; }

    void on_arrival(network& net, const datagram& arrived) override;
    void on_refusal(network& net, const endpoint& closed) override;

    void on_wake(network&, std::uint32_t) override {}

    [[nodiscard]] bool readable() const noexcept { return !queue_.empty() || pending_error_ != 0; }

    [[nodiscard]] bool writable() const noexcept;

    /// The outcome of a request is known.
    void on_outcome(const endpoint& peer, bool success);

    /// No transfer uses it any more: as when it is closed.
    void on_unused() { watch_.on_close(host_.world_.net.now()); }

    /// The program has acted on all that it was handed.
    void on_acted() { watch_.on_acted(); }

    [[nodiscard]] const port_watch& watch() const noexcept { return watch_; }

    [[nodiscard]] time_point writable_at() const noexcept { return full_until_; }

private:
    struct waiting {
        endpoint from;
        endpoint to;
        std::vector<std::byte> octets;
        time_point since;
    };

    enum class fate : std::uint8_t { sent, lost, full, refused };

    [[nodiscard]] fate decide(bytes_view octets) noexcept;
    void leave(const endpoint& peer, bytes_view octets, fate what) noexcept;
    [[nodiscard]] bool joins(const waiting& next, const received& message) const noexcept;

    kernel& host_;
    socket_options options_;
    int fd_;
    std::size_t granted_;
    std::size_t charged_ = 0;
    std::deque<waiting> queue_;
    std::deque<refusal> refusals_;
    int pending_error_ = 0;
    int send_error_ = 0;
    time_point full_until_;
    port_watch watch_;
};

} // namespace tftp::sim
