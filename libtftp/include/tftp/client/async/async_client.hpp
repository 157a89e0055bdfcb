#pragma once

#include <tftp/base/error.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/content/content.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <string>
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
                start_get(shared, r, *to, std::move(done));
            },
            token,
            asked,
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
                start_put(shared, r, *content, std::move(done));
            },
            token,
            asked,
            &from
        );
    }

    /// Reads the file of `url`, tftp://HOST[:PORT]/FILE[;mode=netascii]; completes when it is whole
    /// and committed, or has failed.
    ///
    /// Looks up the host without blocking the event loop and asks one of its addresses after the
    /// other as long as nobody answers there. how: everything but server, name and mode, which the
    /// URL says. Lifetime: a sink that `into` borrows outlives the operation. When it ends before
    /// the system's resolver has answered, the event loop has work until that. RFC 3617.
    template <boost::asio::completion_token_for<void(error_code, transfer_summary)> Token>
    auto async_get(std::string url, destination into, client_request how, Token&& token) {
        return boost::asio::async_initiate<Token, signature>(
            [shared =
                 shared_](handler done, std::string u, const destination& to, client_request r) {
                start_get(shared, std::move(u), to, r, std::move(done));
            },
            token,
            std::move(url),
            std::move(into),
            how
        );
    }

    /// Writes what `from` holds to the file of `url`. Otherwise as the `async_get` for a URL.
    template <boost::asio::completion_token_for<void(error_code, transfer_summary)> Token>
    auto async_put(std::string url, content from, client_request how, Token&& token) {
        return boost::asio::async_initiate<Token, signature>(
            [shared = shared_](handler done, std::string u, const content& c, client_request r) {
                start_put(shared, std::move(u), c, r, std::move(done));
            },
            token,
            std::move(url),
            std::move(from),
            how
        );
    }

    /// `boost::asio::as_tuple` by its bare name: a function before Boost has an object for it.
    using as_tuple_function = boost::asio::as_tuple_t<
        boost::asio::use_awaitable_t<>> (*)(boost::asio::use_awaitable_t<>&&);

    /// Awaits, for `auto [error, summary] = co_await client.async_get(url, into, {}, as_tuple)`.
    auto
    async_get(std::string url, destination into, client_request how, as_tuple_function as_tuple) {
        return async_get(
            std::move(url), std::move(into), how, as_tuple(boost::asio::use_awaitable_t<>())
        );
    }

    /// As the `async_get` with `as_tuple`.
    auto async_put(std::string url, content from, client_request how, as_tuple_function as_tuple) {
        return async_put(
            std::move(url), std::move(from), how, as_tuple(boost::asio::use_awaitable_t<>())
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
    static void start_get(
        std::shared_ptr<shared_state> shared,
        std::string url,
        const destination& into,
        client_request how,
        handler done
    );
    static void start_put(
        std::shared_ptr<shared_state> shared,
        std::string url,
        const content& from,
        client_request how,
        handler done
    );

    std::shared_ptr<shared_state> shared_;
};

} // namespace tftp
