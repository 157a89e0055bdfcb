#pragma once

#include <tftp/base/error.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <cstdint>
#include <optional>

namespace tftp {

/// Watches a blocking transfer and may end it.
class progress_monitor {
public:
    progress_monitor() = default;
    progress_monitor(const progress_monitor&) = delete;
    progress_monitor& operator=(const progress_monitor&) = delete;
    virtual ~progress_monitor() = default;

    /// Called about ten times a second, and whenever a signal handler has run.
    ///
    /// bytes: octets of content so far. total: octets announced, when known. Return false to end
    /// the transfer with `errc::stopped`.
    [[nodiscard]] virtual bool
    on_progress(std::uint64_t bytes, std::optional<std::uint64_t> total) noexcept = 0;
};

/// Reads a file from a server and returns when it is whole and committed, or has failed.
///
/// In netascii mode the sink receives local text. error: why it failed; cleared on success. Without
/// options when the server refuses them: see `request::fall_back`. Blocks the calling thread; any
/// number of threads may have transfers of their own. RFC 1350.
[[nodiscard]] transfer_summary
get(const client_request& asked, sink& into, error_code& error, progress_monitor* monitor = nullptr
) noexcept;

/// Like the other overload; throws `boost::system::system_error` when it fails.
transfer_summary get(const client_request& asked, sink& into);

/// Writes a file to a server and returns when its last block is acknowledged, or it has failed.
/// Otherwise as `get`.
[[nodiscard]] transfer_summary
put(const client_request& asked,
    source& from,
    error_code& error,
    progress_monitor* monitor = nullptr) noexcept;

/// Like the other overload; throws `boost::system::system_error` when it fails.
transfer_summary put(const client_request& asked, source& from);

} // namespace tftp
