#pragma once

#include <tftp/base/time.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/transfer/summary.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace tftp {

/// One thread of a server: a `shard` and the epoll set that it waits on.
///
/// Members run in the thread that calls run(), except where they say otherwise.
class worker final : private observer {
public:
    /// What a worker stands on; all of it outlives the worker.
    struct setup {
        content_provider& files;
        const service_config& service;
        std::optional<port_range> transfer_ports;
        job_runner* pool = nullptr;
        tftp::admission* admission = nullptr;
        const request_policy* policy = nullptr;
        const std::function<void(const transfer_summary&)>& on_finished;
    };

    /// Throws std::system_error when the system gives no descriptors.
    explicit worker(const setup& parts);
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker() override;

    /// Takes requests from `port` too; throws boost::system::system_error. Before run().
    void listen(std::unique_ptr<datagram_socket> port);

    /// Serves until stop() or drain() has done its work. Throws std::system_error when the kernel
    /// refuses to wait.
    void run();

    /// See `server::drain`. Any thread.
    void drain(duration grace);
    /// See `server::stop`. Any thread.
    void stop();

    /// Returns transfers under way. Any thread.
    [[nodiscard]] std::size_t running() const noexcept {
        return running_.load(std::memory_order_relaxed);
    }

    /// Returns what it has counted so far. Any thread.
    [[nodiscard]] server_counts counts() const noexcept { return shard_.counters().read(); }

private:
    enum class mode : std::uint8_t { serving, draining, stopping };

    /// What other threads have asked for since the last turn.
    struct orders {
        /// The grace of the drain.
        std::optional<duration> drain;
        unsigned stops = 0;
    };

    void on_finished(const transfer_summary& summary) noexcept override;
    void follow_orders();
    void begin_drain(duration grace);
    void begin_stop();
    [[nodiscard]] bool over() const noexcept;
    [[nodiscard]] std::optional<time_point> next_deadline() const noexcept;

    udp_socket_factory ports_;
    epoll_loop loop_;
    const std::function<void(const transfer_summary&)>& on_finished_;
    shard shard_;
    std::mutex mutex_;
    /// Guarded by mutex_, which turns without orders do not take.
    orders orders_;
    std::atomic<bool> ordered_ = false;
    std::atomic<std::size_t> running_ = 0;
    mode mode_ = mode::serving;
    /// When a drain becomes a stop, and a stop ends whatever still runs.
    std::optional<time_point> patience_;
    bool ended_ = false;
};

} // namespace tftp
