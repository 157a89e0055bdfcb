#pragma once

#include <tftp/driver/content.hpp>
#include <tftp/driver/limits.hpp>
#include <tftp/driver/request.hpp>
#include <tftp/driver/transfer.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/io/blocking_pool.hpp>
#include <tftp/io/datagram_port.hpp>
#include <tftp/io/deadline_wheel.hpp>
#include <tftp/io/route.hpp>
#include <tftp/io/scratch.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tftp::io {

/// Watches descriptors for a `service`: epoll in the server, tables of their own in programs that
/// use select or poll, a virtual network in simulations.
class poller {
public:
    poller() = default;
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    virtual ~poller() = default;

    /// Watches `wanted.fd` level-triggered from now on, or changes what it is watched for. When it
    /// is ready, say so with `service::on_ready(token, ...)`.
    [[nodiscard]] virtual error_code watch(const interest& wanted, void* token) noexcept = 0;
    /// Stops watching `fd`, which is about to be closed.
    virtual void unwatch(int fd) noexcept = 0;
};

/// Hears of every request that came to its end, refused ones included. Called on the service's
/// thread.
class observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer() = default;

    /// Takes the outcome of one request.
    virtual void on_finished(const transfer_summary& summary) noexcept = 0;
};

/// How a `service` answers.
struct service_config {
    option_limits options;
    /// Grant no blksize whose DATA would be fragmented on the route to the client.
    bool blksize_auto = true;
    engine_config engine;
    io::limits limits;
    segmentation sends = segmentation::gso;
};

/// What a service stands on; all of it outlives the service, but for the pool: jobs of it report to
/// the service, so the pool ends first.
struct service_parts {
    io::content& files;
    port_factory& ports;
    io::poller& poller;
    io::observer& observer;
    /// Cold reads and commits go there; null: they are done where they stand.
    job_runner* pool = nullptr;
};

/// One thread's share of a server: listening ports, the transfers they start, their deadlines.
/// Reactor-neutral: give it readiness and time, then call settle().
///
/// Each transfer gets a fresh ephemeral port at the address that was asked. A request repeated
/// before its transfer is under way, or within a second, is joined to it; any other request from
/// the same peer takes the place of its old transfer. Requests from port 0, from its own port, and
/// to broadcast or multicast addresses are dropped (RFC 1123 4.2.3.5). Not thread-safe.
class service final : private transfer_host {
public:
    /// Throws std::system_error when the completion queue cannot be made.
    service(const service_parts& parts, const service_config& config, time_point now);
    ~service() override;

    /// Takes requests from `port` too; it must report local addresses.
    [[nodiscard]] error_code listen(std::unique_ptr<datagram_port> port);

    /// A watched descriptor is ready. token: as given to the poller.
    void on_ready(void* token, bool readable, bool writable, time_point now) noexcept;
    /// Time has passed; harmless when early.
    void on_deadline(time_point now) noexcept;
    /// Destroys what has ended: call after each batch of on_ready and on_deadline, never within.
    void settle() noexcept;

    /// Returns when to call on_deadline.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return wheel_.next(); }

    /// Takes no more requests; running transfers go on.
    void close_listeners() noexcept;
    /// Ends every transfer with ERROR 0.
    void abort_all(time_point now);

    /// Returns how many transfers have not completed.
    [[nodiscard]] std::size_t running() const noexcept { return running_; }

    /// Returns how many transfers exist, those that only repeat their final ACK included.
    [[nodiscard]] std::size_t transfers() const noexcept { return transfers_.size(); }

private:
    struct watched;
    struct listener;
    struct served;

    /// A transfer is known by both addresses; the same client may ask two of ours.
    struct key {
        endpoint peer;
        endpoint local;

        friend bool operator==(const key&, const key&) = default;
    };

    struct key_hash {
        [[nodiscard]] std::size_t operator()(const key& k) const noexcept {
            return std::hash<endpoint>()(k.peer) * 31 + std::hash<endpoint>()(k.local);
        }
    };

    /// One request on its way to becoming a transfer.
    struct arrival {
        datagram_port& port;
        const received& message;
        bytes_view datagram;
        key who;
        request_view request;
        time_point now;
    };

    [[nodiscard]] bool offload(std::unique_ptr<blocking_job> job) noexcept override;
    void resumed(transfer& owner) noexcept override;

    void on_requests(listener& from, time_point now) noexcept;
    void on_datagram(
        datagram_port& port, const received& message, bytes_view datagram, time_point now
    ) noexcept;
    [[nodiscard]] bool joined(const arrival& a) noexcept;
    void begin(const arrival& a);
    [[nodiscard]] error_code begin_read(const arrival& a);
    [[nodiscard]] error_code begin_write(const arrival& a);
    void drop_oldest_half_open(time_point now) noexcept;
    /// Null when the system gives no port; the request is refused then.
    [[nodiscard]] std::unique_ptr<datagram_port>
    open_port(const arrival& a, const parameters& receives) noexcept;
    [[nodiscard]] transfer_setup
    setup_for(const arrival& a, std::unique_ptr<datagram_port> port) noexcept;
    void add(std::unique_ptr<served> made, time_point now);
    [[nodiscard]] option_limits limits_for(const arrival& a) noexcept;
    void refuse(
        const arrival& a, peer_errc code, std::string_view message, const error_code& why
    ) noexcept;
    void update(served& s, time_point now) noexcept;
    void retire(served& s) noexcept;

    service_parts parts_;
    service_config config_;
    scratch memory_;
    /// Requests are read into memory of their own: answering one uses `memory_`.
    scratch requests_;
    file_cache cache_;
    route_probe routes_;
    std::unique_ptr<completion_queue> completions_;
    std::unique_ptr<watched> completions_token_;
    std::vector<std::unique_ptr<listener>> listeners_;
    std::unordered_map<key, std::unique_ptr<served>, key_hash> transfers_;
    /// Transfers whose client has not answered yet, oldest first.
    std::list<served*> half_open_;
    std::vector<std::unique_ptr<served>> ended_;
    std::size_t running_ = 0;
    /// The time of the call that drains completions.
    time_point now_;
    deadline_wheel wheel_;
};

} // namespace tftp::io
