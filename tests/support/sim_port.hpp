#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

/// A network in memory, in virtual time: what stands in for the kernel under `transfer` and
/// `service`. Datagrams arrive at once and in order unless a test says otherwise.
namespace tftp::test {

class sim_network;

/// A call on a port that a test may have fail.
enum class port_call : std::uint8_t { open, receive, send, send_run, cork, release };

/// Has the `nth` call of its kind, counted over all ports of the host from 1, end with `error`.
struct port_fault {
    port_call call = port_call::send_run;
    unsigned nth = 1;
    /// As errno has it; the socket's buffer is full after `taken` datagrams when it is EAGAIN.
    int error = 0;
    std::uint16_t taken = 0;
};

/// A datagram on its way.
struct sim_datagram {
    endpoint from;
    endpoint to;
    std::vector<std::byte> octets;
};

/// One port in a `sim_network`. Its descriptor is a number that no system call knows.
class sim_port final : public datagram_socket {
public:
    sim_port(sim_network& network, const endpoint& local, const socket_options& options, int fd);
    ~sim_port() override;

    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override;
    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
    ) noexcept override;
    [[nodiscard]] error_code cork(
        const endpoint& peer,
        const endpoint& local,
        std::span<const ::iovec> parts,
        std::size_t segment
    ) noexcept override;
    [[nodiscard]] error_code release() noexcept override;
    void drop_corked() noexcept override;
    [[nodiscard]] error_code
    send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept override;
    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override;

    [[nodiscard]] endpoint local_endpoint() const noexcept override { return local_; }

    [[nodiscard]] int native_handle() const noexcept override { return fd_; }

    /// Returns true when a datagram or a refusal waits.
    [[nodiscard]] bool readable() const noexcept { return waiting_ != 0 || !refusals_.empty(); }

    /// Queues a datagram; the oldest stay when there is no room, as in a socket's buffer.
    void deliver(const endpoint& from, const endpoint& to, bytes_view octets);
    /// Reports an ICMP error, if the port was opened to hear of them.
    void refuse(const refusal& what);

    /// Takes the oldest datagram; empty when there is none. For ports that tests speak through.
    [[nodiscard]] std::optional<sim_datagram> take();

    /// Destination of the next datagrams says that it is a group's.
    bool group = false;
    /// What the next datagrams say of their waiting, if the port was opened to tell.
    duration waited{};
    /// Datagrams of one sender that follow each other come as one message, as UDP_GRO has it:
    /// equal sizes, a shorter one is the last.
    bool coalesces = false;

private:
    [[nodiscard]] bool joins(const sim_datagram& next, const received& message) const noexcept;

    // A ring whose elements keep their memory, so that traffic allocates nothing.
    static constexpr std::size_t room = 512;

    sim_network& network_;
    endpoint local_;
    socket_options options_;
    int fd_;
    std::vector<sim_datagram> queue_;
    std::size_t first_ = 0;
    std::size_t waiting_ = 0;
    std::vector<refusal> refusals_;
    /// What is held, for whom, and in datagrams of which size; 0 when nothing is.
    std::vector<std::byte> held_;
    endpoint held_for_;
    std::size_t held_segment_ = 0;
};

/// Who can hear whom, and what goes wrong on the way.
class sim_network {
public:
    /// Called for each datagram before it arrives; false loses it.
    std::function<bool(const endpoint& from, const endpoint& to, bytes_view octets)> passes;
    /// A datagram to a port that nobody has open comes back as ICMP "port unreachable".
    bool refuses = true;
    /// Ports can hold runs.
    bool holds = false;
    std::vector<port_fault> faults;
    /// Datagrams that were sent, lost ones included.
    std::uint64_t sent = 0;

    /// Returns the port with this descriptor; null when it is closed.
    [[nodiscard]] sim_port* find(int fd) const noexcept;

    /// Returns how many ports are open.
    [[nodiscard]] std::size_t open_ports() const noexcept { return by_fd_.size(); }

    /// Returns how often `call` was made.
    [[nodiscard]] unsigned calls(port_call call) const noexcept {
        return calls_[static_cast<std::size_t>(call)];
    }

    /// Opens a port; port 0 takes a fresh one.
    [[nodiscard]] std::unique_ptr<sim_port>
    open(const endpoint& local, const socket_options& options = {});

    /// Counts a call and returns the fault it is to end with, if any.
    [[nodiscard]] std::optional<port_fault> count(port_call call) noexcept;
    void transmit(sim_port& from, const endpoint& to, bytes_view octets);

private:
    friend class sim_port;

    void add(sim_port& port, int fd);
    void remove(const sim_port& port) noexcept;

    std::map<int, sim_port*> by_fd_;
    std::uint16_t next_port_ = 40000;
    int next_fd_ = 1'000'000;
    unsigned calls_[6] = {};
};

/// Opens the ports of one host.
class sim_host final : public socket_factory {
public:
    /// address: its port is not used.
    sim_host(sim_network& network, const endpoint& address)
        : network_(network), address_(address) {}

    [[nodiscard]] result<std::unique_ptr<datagram_socket>>
    open(const endpoint& local, const socket_options& options) noexcept override;

    /// Options of the port that was opened last.
    socket_options last_options;

private:
    sim_network& network_;
    endpoint address_;
};

/// Watches ports of a `sim_network` for a service.
class sim_loop final : public event_loop {
public:
    explicit sim_loop(sim_network& network) : network_(network) {}

    [[nodiscard]] error_code
    watch(const interest& wanted, event_handler& handler) noexcept override;
    void unwatch(int fd) noexcept override;

    /// Tells `target` what is ready, one turn of an event loop. Returns false when nothing was.
    bool dispatch(shard& target, time_point now);

    /// Returns how many descriptors are watched.
    [[nodiscard]] std::size_t watched() const noexcept { return watched_.size(); }

    /// The next watch fails with this errno when it is not 0.
    int fail_next = 0;

private:
    struct entry {
        interest wanted;
        event_handler* handler = nullptr;
    };

    struct ready_entry {
        int fd = -1;
        entry what;
    };

    sim_network& network_;
    std::map<int, entry> watched_;
    std::vector<ready_entry> ready_;
};

} // namespace tftp::test
