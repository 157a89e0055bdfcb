#pragma once

#include <tftp/base/time.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/transfer/transfer.hpp>
#include <tftp/wire/packet.hpp>

#include <memory>
#include <string_view>

namespace tftp {

/// Who takes part in a transfer between two peers; the rest of its state is the engine's.
struct transfer_setup {
    transfer_direction verb = transfer_direction::read;
    /// As the request has it; copied.
    std::string_view filename;
    transfer_mode mode = transfer_mode::octet;
    std::unique_ptr<datagram_socket> port;
    /// Does what may block; null: the transfer does it itself. Outlives the transfer.
    transfer_host* host = nullptr;
};

/// Makes a transfer that sends `from`: the server of an RRQ, the client of a WRQ. Throws
/// std::bad_alloc.
[[nodiscard]] std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
);

/// Makes a transfer that receives into `into`: the client of an RRQ, the server of a WRQ. Throws
/// std::bad_alloc.
[[nodiscard]] std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
);

} // namespace tftp
