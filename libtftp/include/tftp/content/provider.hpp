#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace tftp {

class file_cache;

/// What a request asks of the server's content.
///
/// Lifetime: `name` borrows the datagram.
struct content_request {
    /// As the peer sent it: check before use, escape before logging.
    std::string_view name;
    transfer_mode mode = transfer_mode::octet;
    endpoint peer;
    endpoint local;
    /// Octets announced by the tsize of a WRQ in octet mode.
    std::optional<std::uint64_t> announced_size;
    /// What the calling thread keeps of files; null where it keeps none.
    file_cache* cache = nullptr;
};

/// Where a server's files come from and go to: a directory, or what an embedding program likes.
///
/// Thread-safe: called by all threads of a server. Errors become the ERROR that answers the
/// request, by `to_peer_errc`; a wire code of one's own is a `peer_errc`.
class content_provider {
public:
    content_provider() = default;
    content_provider(const content_provider&) = delete;
    content_provider& operator=(const content_provider&) = delete;
    virtual ~content_provider() = default;

    /// Opens what an RRQ asks for, if that takes no wait. In netascii mode it is local text: the
    /// server converts it.
    ///
    /// Errors: `errc::would_block` has `open_read` called instead, where waiting is allowed. That
    /// is all this does unless it is overridden.
    [[nodiscard]] virtual result<std::shared_ptr<source>>
    try_open_read(const content_request& wanted) noexcept;

    /// Like `try_open_read`, but may block and never gives `errc::would_block`. Called in a thread
    /// of the server's `thread_pool`, when it has one.
    [[nodiscard]] virtual result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept = 0;

    /// Returns why a WRQ is refused, as far as that takes no wait; success has `open_write` called,
    /// which has the last word.
    [[nodiscard]] virtual error_code check_write(const content_request& wanted) noexcept;

    /// Opens a place for what a WRQ brings. Nothing may become visible before `sink::commit`. May
    /// block; called in a thread of the pool like `open_read`.
    ///
    /// Refuses with `errc::uploads_off` unless it is overridden.
    [[nodiscard]] virtual result<std::shared_ptr<sink>> open_write(const content_request& wanted
    ) noexcept;
};

} // namespace tftp
