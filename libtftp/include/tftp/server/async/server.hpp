#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/handlers.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/server/counters.hpp>
#include <tftp/server/policy.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/transfer/summary.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tftp {

/// An address that cannot be listened on.
class listen_error : public boost::system::system_error {
public:
    listen_error(const error_code& why, const endpoint& address)
        : system_error(why, "cannot listen"), address_(address) {}

    /// text: what is no address.
    explicit listen_error(const std::string& text)
        : system_error(errc::bad_local_address, "cannot listen on '" + text + "'") {}

    /// Returns the address; family `none` for what is no address.
    [[nodiscard]] const endpoint& address() const noexcept { return address_; }

private:
    endpoint address_;
};

/// The system gives no threads.
class threads_error : public boost::system::system_error {
public:
    explicit threads_error(const error_code& why) : system_error(why, "cannot start threads") {}
};

/// Where and how a server that is made in one line listens.
struct server_options {
    /// Numeric address to take requests at, with or without a port: "0.0.0.0:69", "[::]:69",
    /// "192.0.2.1". ":6969": all addresses of both families at that port. Empty: all at port 69.
    /// Port 0 takes an ephemeral one.
    std::string listen{};
    /// Hears of every request that came to its end. Called in the threads that serve: it must be
    /// thread-safe and quick. May be empty.
    std::function<void(const transfer_summary&)> on_finished{};
    /// How it answers, and its limits.
    service_config service{};
    /// Decides about each request; empty: a `default_policy`.
    std::shared_ptr<const request_policy> policy{};
};

/// A TFTP server: one thread per worker, nothing shared between them but the content. The kernel
/// spreads clients over the workers, each client always to the same one.
class server {
public:
    /// What to serve, where, and how.
    struct config {
        /// Where to take requests. Empty: all addresses of both families at `port`; a family that
        /// the system lacks is left out. Port 0 takes one ephemeral port for all addresses.
        std::vector<endpoint> listen{};
        std::uint16_t port = 69;
        /// What is served; called by every worker.
        std::shared_ptr<content_provider> files{};
        service_config service{};
        /// Decides about each request; empty: a `default_policy`.
        std::shared_ptr<const request_policy> policy{};
        /// Ports of transfers; empty: the system's ephemeral range.
        std::optional<port_range> transfer_ports{};
        /// Threads; 0: one per core this process may run on.
        unsigned workers = 0;
        /// Hears of every request that came to its end. Called in the worker threads: it must be
        /// thread-safe and quick. May be empty.
        std::function<void(const transfer_summary&)> on_finished{};
        /// Called by run(), in its thread, once all that serves has started. May be empty.
        std::function<void()> on_started{};
    };

    /// Returns the configuration that `options` stand for, with one thread per core. Throws
    /// listen_error when `listen` is no address.
    [[nodiscard]] static config
    config_for(server_options options, std::shared_ptr<content_provider> files);

    /// Answers reads with `reads`, and writes with `writes` or a refusal. Binds all addresses:
    /// throws as the constructor with a `config`.
    server(server_options options, read_handler reads, write_handler writes = {})
        : server(std::move(options), handle_with(std::move(reads), std::move(writes))) {}

    /// Serves `files`, for example a `directory`. Binds all addresses: throws as the constructor
    /// with a `config`.
    server(server_options options, std::shared_ptr<content_provider> files)
        : server(config_for(std::move(options), std::move(files))) {}

    /// Binds all addresses.
    ///
    /// Throws listen_error, for example with `address_in_use` when another socket, of another
    /// instance of this server too, holds an address; std::system_error when the system gives no
    /// descriptors; std::invalid_argument without `config::files`.
    explicit server(config setup);
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    /// Precondition: run() is not running.
    ~server();

    /// Returns the addresses that are bound, in the order of `config::listen`.
    [[nodiscard]] const std::vector<endpoint>& endpoints() const noexcept;

    /// Returns an executor for the embedding program's own signals and timers: it runs in the
    /// thread that calls run(), until all workers have ended.
    [[nodiscard]] boost::asio::any_io_executor get_executor() const;

    /// Serves until stop() or drain() has done its work: one thread per worker, and this one for
    /// get_executor(). Call once. Rethrows what ended a worker or came out of a handler there;
    /// throws threads_error when the system does not give the threads: then nothing was served.
    void run();

    /// Takes no more requests and lets transfers finish, the repeating of final ACKs included;
    /// after `grace` it is a stop(). Any thread.
    void drain(duration grace);

    /// Ends all transfers with ERROR 0, but for uploads that are being committed: these get
    /// 0.6 s to end in their own way. Called again it waits for nothing. Any thread.
    void stop();

    /// Once run() has returned: waits at most for `patience` for what still waits for a disk.
    /// Returns false when some of it does not end; the destructor would wait for that as long as it
    /// takes.
    [[nodiscard]] bool wait_for_disks(std::chrono::milliseconds patience) noexcept;

    /// Returns how many threads serve.
    [[nodiscard]] std::size_t threads() const noexcept;

    /// Returns how many transfers are under way. Any thread; from run() to its return.
    [[nodiscard]] std::size_t running() const noexcept;

    /// Returns what all threads have counted so far. Any thread.
    [[nodiscard]] server_counts counts() const noexcept;

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace tftp
