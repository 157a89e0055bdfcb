#pragma once

#include <tftp/base/error.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>

#include <memory>
#include <utility>

namespace tftp {

/// Reads from and writes to TFTP servers without blocking: any number of transfers in one event
/// loop.
///
/// Every operation completes with `void(error_code, transfer_summary)`, through a post, never
/// inside the call that starts it. Terminal and partial cancellation end it with ERROR 0 to the
/// server and `operation_aborted`. Destroying the client leaves operations running.
/// Not thread-safe: use it, and run its executor, in one thread or strand.
class client {
public:
    /// ex: where operations wait, and where handlers without an executor of their own run.
    explicit client(boost::asio::any_io_executor ex);

    /// Reads a file into `into`; completes when it is whole and committed, or has failed.
    ///
    /// Lifetime: `into` outlives the operation. A sink that blocks, blocks the event loop.
    template <
        boost::asio::completion_token_for<void(error_code, transfer_summary)> Token =
            boost::asio::default_completion_token_t<boost::asio::any_io_executor>>
    auto async_get(
        client_request asked,
        sink& into,
        Token&& token = boost::asio::default_completion_token_t<boost::asio::any_io_executor>()
    ) {
        return boost::asio::async_initiate<Token, signature>(
            [shared = shared_](handler done, client_request r, sink* to) {
                start_get(shared, std::move(r), *to, std::move(done));
            },
            token,
            std::move(asked),
            &into
        );
    }

    /// Writes a file; completes when its last block is acknowledged, or it has failed.
    ///
    /// Lifetime: `from` outlives the operation. A source that blocks, blocks the event loop.
    template <
        boost::asio::completion_token_for<void(error_code, transfer_summary)> Token =
            boost::asio::default_completion_token_t<boost::asio::any_io_executor>>
    auto async_put(
        client_request asked,
        source& from,
        Token&& token = boost::asio::default_completion_token_t<boost::asio::any_io_executor>()
    ) {
        return boost::asio::async_initiate<Token, signature>(
            [shared = shared_](handler done, client_request r, source* content) {
                start_put(shared, std::move(r), *content, std::move(done));
            },
            token,
            std::move(asked),
            &from
        );
    }

    /// Returns the executor of its operations.
    [[nodiscard]] boost::asio::any_io_executor get_executor() const;

private:
    using signature = void(error_code, transfer_summary);
    using handler = boost::asio::any_completion_handler<signature>;
    struct shared_state;
    class operation;

    static void
    start_get(std::shared_ptr<shared_state> shared, client_request asked, sink& into, handler done);
    static void start_put(
        std::shared_ptr<shared_state> shared, client_request asked, source& from, handler done
    );

    std::shared_ptr<shared_state> shared_;
};

} // namespace tftp
