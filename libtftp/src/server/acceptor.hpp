#pragma once

#include "server/demultiplexer.hpp"
#include "server/incoming_request.hpp"
#include "server/shard_context.hpp"
#include "server/shared_port.hpp"

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/base/token_bucket.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace tftp {

/// The listening sockets of a shard, and how fast requests are taken from them. Drops what no
/// client sends (RFC 1123 4.2.3.5): requests from port 0, from ports where servers listen, to
/// broadcast and multicast addresses.
///
/// Not thread-safe.
class acceptor final : private shared_port::reader {
public:
    /// Takes what has arrived.
    class request_handler {
    public:
        /// A request that is well formed.
        virtual void on_request(const incoming_request& a) noexcept = 0;
        /// A request that is not, `a.request.op` aside. why: `errc::malformed` or
        /// `errc::unsupported_mode`.
        virtual void on_malformed(const incoming_request& a, const error_code& why) noexcept = 0;

    protected:
        ~request_handler() = default;
    };

    /// others: takes packets of transfers that come to listening sockets (`tid_mode::single`).
    /// Lifetime: all are borrowed.
    acceptor(
        shard_context& context, request_handler& handler, demultiplexer& others, time_point now
    ) noexcept;

    /// Takes requests from `socket` too. Errors: as the event loop says. Throws std::bad_alloc.
    [[nodiscard]] error_code listen(std::unique_ptr<datagram_socket> socket);

    /// The configuration has changed: takes requests as fast as it says now.
    void configure(time_point now) noexcept {
        pace_ = token_bucket(context_.config().limits.requests_per_second, now);
    }

    /// Takes no more requests. Closes the sockets, unless transfers use these.
    void stop() noexcept;
    /// Stops watching the sockets that are left.
    void unwatch() noexcept;

    /// Takes requests that did not fit into a batch, once a turn.
    void take_more(time_point now) noexcept;

    /// Returns when sockets that rest are read again; empty when none does.
    [[nodiscard]] std::optional<time_point> resuming_at() const noexcept { return resuming_at_; }

    /// Reads sockets again whose rest is over.
    void resume(time_point now) noexcept;

    /// Returns the listening socket that `port` is; null when it is none.
    [[nodiscard]] shared_port* find(const datagram_socket& port) const noexcept;

private:
    struct listener final : shared_port {
        using shared_port::shared_port;

        /// The last time it held as many requests as were wanted, or more.
        bool crowded = false;
    };

    void on_readable(shared_port& port, time_point now) noexcept override;
    void take(listener& from, time_point now) noexcept;
    void take_mixed(listener& from, std::span<const received> messages, time_point now) noexcept;
    void on_datagram(
        datagram_socket& port, const received& message, bytes_view datagram, time_point now
    ) noexcept;
    void rest(time_point until) noexcept;

    /// A socket that transfers use cannot rest: what is too much of requests is dropped there.
    [[nodiscard]] bool can_rest() const noexcept {
        return context_.config().tids != tid_mode::single;
    }

    shard_context& context_;
    request_handler& handler_;
    demultiplexer& others_;
    std::vector<std::unique_ptr<listener>> listeners_;
    token_bucket pace_;
    /// Requests come faster than they may, or a read failed.
    std::optional<time_point> resuming_at_;
    bool accepting_ = true;
};

} // namespace tftp
