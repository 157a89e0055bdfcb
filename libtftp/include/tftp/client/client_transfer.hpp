#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/transfer.hpp>

#include <memory>

namespace tftp {

/// Prepares the transfer that asks `asked.server` for a file and stores it in `into`: what the
/// blocking and the asynchronous client both drive. Call start() on it first.
///
/// In netascii mode `into` receives local text. Errors: those of `encode_request` and of opening a
/// port. Lifetime: `into` outlives the transfer. Throws std::bad_alloc.
[[nodiscard]] result<std::unique_ptr<transfer>>
begin_get(const client_request& asked, sink& into, socket_factory& ports, time_point now);

/// Prepares the transfer that sends `from` to `asked.server`. In netascii mode
/// `from` is local text. Otherwise as `begin_get`.
[[nodiscard]] result<std::unique_ptr<transfer>>
begin_put(const client_request& asked, source& from, socket_factory& ports, time_point now);

} // namespace tftp
