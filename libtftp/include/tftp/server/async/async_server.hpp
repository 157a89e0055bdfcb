#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/handlers.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/server/async/server.hpp>
#include <tftp/server/counters.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tftp {

/// A TFTP server in an event loop of the program: one thread serves, that which runs the executor.
/// Handlers and what else may wait for a disk run in a pool of threads.
///
/// Serves from its construction until stop() or drain() has done its work, or it is destroyed; the
/// loop has work as long. Not thread-safe: use it, and run its executor, in one thread or strand.
class async_server {
public:
    /// Answers reads with `reads`, and writes with `writes` or a refusal. Throws as `server` does.
    async_server(
        const boost::asio::any_io_executor& ex,
        server_options options,
        read_handler reads,
        write_handler writes = {}
    )
        : async_server(ex, std::move(options), handle_with(std::move(reads), std::move(writes))) {}

    /// Serves `files`, for example a `directory`. Throws as `server` does.
    async_server(
        const boost::asio::any_io_executor& ex,
        server_options options,
        std::shared_ptr<content_provider> files
    );
    async_server(const async_server&) = delete;
    async_server& operator=(const async_server&) = delete;
    /// Ends all transfers without a word to their peers; waits for what runs in the pool.
    ~async_server();

    /// Returns the addresses that are bound.
    [[nodiscard]] const std::vector<endpoint>& endpoints() const noexcept;

    /// Takes no more requests and lets transfers finish; after `grace` it is a stop().
    void drain(duration grace);

    /// Ends all transfers with ERROR 0, but for uploads that are being committed: these get
    /// 0.6 s to end in their own way. Called again it waits for nothing.
    void stop();

    /// Returns how many transfers are under way.
    [[nodiscard]] std::size_t running() const noexcept;

    /// Returns what was counted so far. Any thread.
    [[nodiscard]] server_counts counts() const noexcept;

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

} // namespace tftp
