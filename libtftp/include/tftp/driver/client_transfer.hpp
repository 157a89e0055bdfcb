#pragma once

#include <tftp/driver/request.hpp>
#include <tftp/driver/transfer.hpp>
#include <tftp/io/datagram_port.hpp>
#include <tftp/io/sink.hpp>
#include <tftp/io/source.hpp>
#include <tftp/wire/error.hpp>
#include <tftp/wire/time.hpp>

#include <memory>

namespace tftp::io {

/// Prepares the transfer that asks `asked.server` for a file and stores it in `into`: what the
/// blocking and the asynchronous client both drive. Call start() on it first.
///
/// In netascii mode `into` receives local text. Errors: those of `encode_request` and of opening a
/// port. Lifetime: `into` outlives the transfer. Throws std::bad_alloc.
[[nodiscard]] result<std::unique_ptr<transfer>>
begin_get(const request& asked, sink& into, port_factory& ports, time_point now);

/// Prepares the transfer that sends `from` to `asked.server`. In netascii mode
/// `from` is local text. Otherwise as `begin_get`.
[[nodiscard]] result<std::unique_ptr<transfer>>
begin_put(const request& asked, source& from, port_factory& ports, time_point now);

} // namespace tftp::io
