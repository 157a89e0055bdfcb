#pragma once

#include "server/shard_context.hpp"
#include "server/shared_port.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <span>

namespace tftp {

/// Hands what comes to a socket that transfers share to the transfers that it belongs to: those
/// whose ends it has. Answers everybody else with ERROR 5.
///
/// Not thread-safe.
class demultiplexer {
public:
    /// Lifetime: borrowed.
    demultiplexer(shard_context& context, transfer_runner& runner) noexcept
        : context_(context), runner_(runner) {}

    /// Hands over `messages`, those that follow each other from one peer together.
    void deliver(shared_port& port, std::span<const received> messages, time_point now) noexcept;

private:
    void on_stranger(shared_port& port, const received& message) noexcept;

    shard_context& context_;
    transfer_runner& runner_;
};

} // namespace tftp
