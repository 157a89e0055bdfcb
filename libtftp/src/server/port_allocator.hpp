#pragma once

#include "server/acceptor.hpp"
#include "server/demultiplexer.hpp"
#include "server/incoming_request.hpp"
#include "server/server_transfer.hpp"
#include "server/shard_context.hpp"
#include "server/shared_port.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/wire/options.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace tftp {

/// Gives transfers their ports, the TIDs of RFC 1350 s.4: a socket of their own, or one that
/// transfers of different peers share, as `service_config::tids` says.
///
/// Not thread-safe.
class port_allocator final : private shared_port::reader {
public:
    /// Lifetime: all are borrowed.
    port_allocator(
        shard_context& context,
        const acceptor& listening,
        const transfer_runner& runner,
        demultiplexer& packets
    ) noexcept
        : context_(context), listening_(listening), runner_(runner), packets_(packets) {}

    /// Returns a port for the transfer that `a` begins. receives: what is agreed for one that
    /// receives, the default for one that sends. Errors: as the system says, `errc::overloaded`
    /// when there are too many ports.
    [[nodiscard]] result<opened_port>
    open(const incoming_request& a, const parameters& receives) noexcept;

    /// Returns true when a request from the port of a transfer may get a pair of TIDs of its own.
    [[nodiscard]] bool has_other_pair(const incoming_request& a) const noexcept;

    /// Closes shared sockets that no transfer uses any more: the next one that needs such a port
    /// gets a fresh one.
    void close_unused() noexcept;
    /// Stops watching the shared sockets.
    void unwatch() noexcept;

    /// Returns when sockets that rest are read again; empty when none does.
    [[nodiscard]] std::optional<time_point> resuming_at() const noexcept { return resuming_at_; }

    /// Reads sockets again whose rest is over.
    void resume(time_point now) noexcept;

private:
    void on_readable(shared_port& port, time_point now) noexcept override;
    [[nodiscard]] bool may_be_exclusive() const noexcept;
    [[nodiscard]] result<opened_port>
    open_exclusive(const incoming_request& a, const parameters& receives) noexcept;
    [[nodiscard]] opened_port lend(const incoming_request& a) noexcept;
    [[nodiscard]] shared_port* find_shared(const incoming_request& a) noexcept;
    [[nodiscard]] error_code open_shared(const endpoint& local) noexcept;
    [[nodiscard]] bool serves(const shared_port& port, const incoming_request& a) const noexcept;

    shard_context& context_;
    const acceptor& listening_;
    const transfer_runner& runner_;
    demultiplexer& packets_;
    std::vector<std::unique_ptr<shared_port>> shared_;
    /// A read failed.
    std::optional<time_point> resuming_at_;
};

} // namespace tftp
