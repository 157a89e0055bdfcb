#pragma once

#include <tftp/base/error.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tftp {

/// Something to send: what `put` uploads, and what a server's handler answers with. A source, or
/// why there is none; made from either without a word.
class content {
public:
    /// Sends what `from` holds; it is not null.
    template <std::derived_from<source> Source>
    content(std::shared_ptr<Source> from) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<source>(std::move(from))) {}

    /// Sends what `from` holds; it is not null. Throws std::bad_alloc.
    template <std::derived_from<source> Source>
    content(std::unique_ptr<Source> from) // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<source>(std::move(from))) {}

    /// Sends what `from` holds. Lifetime: borrowed; it outlives the transfer.
    content(source& from) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<source>(std::shared_ptr<void>(), &from)) {}

    /// There is nothing to send, because of `why`: a server answers its client so.
    content(error_code why) noexcept : opened_(why) {} // NOLINT(google-explicit-constructor)

    /// As the constructor with an error_code.
    content(errc why) noexcept // NOLINT(google-explicit-constructor)
        : content(make_error_code(why)) {}

    /// As the constructor with an error_code; the client is told this very code.
    content(peer_errc why) noexcept // NOLINT(google-explicit-constructor)
        : content(make_error_code(why)) {}

    /// Returns the source, or why there is none.
    [[nodiscard]] const result<std::shared_ptr<source>>& opened() const noexcept { return opened_; }

private:
    result<std::shared_ptr<source>> opened_;
};

/// A place for what comes: where `get` stores a download, and a server's handler an upload. A sink,
/// or why there is none; made from either without a word.
class destination {
public:
    /// Stores into `into`; it is not null.
    template <std::derived_from<sink> Sink>
    destination(std::shared_ptr<Sink> into) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<sink>(std::move(into))) {}

    /// Stores into `into`; it is not null. Throws std::bad_alloc.
    template <std::derived_from<sink> Sink>
    destination(std::unique_ptr<Sink> into) // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<sink>(std::move(into))) {}

    /// Stores into `into`. Lifetime: borrowed; it outlives the transfer.
    destination(sink& into) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<sink>(std::shared_ptr<void>(), &into)) {}

    /// There is no place, because of `why`: a server answers its client so.
    destination(error_code why) noexcept : opened_(why) {} // NOLINT(google-explicit-constructor)

    /// As the constructor with an error_code.
    destination(errc why) noexcept // NOLINT(google-explicit-constructor)
        : destination(make_error_code(why)) {}

    /// As the constructor with an error_code; the client is told this very code.
    destination(peer_errc why) noexcept // NOLINT(google-explicit-constructor)
        : destination(make_error_code(why)) {}

    /// Returns the sink, or why there is none.
    [[nodiscard]] const result<std::shared_ptr<sink>>& opened() const noexcept { return opened_; }

private:
    result<std::shared_ptr<sink>> opened_;
};

/// Sends `what`, which it owns. Throws std::bad_alloc.
[[nodiscard]] content text(std::string what);

/// Sends `what`, which it owns. Throws std::bad_alloc.
[[nodiscard]] content bytes(std::vector<std::byte> what);

/// Fills a part of `into` with what comes next and returns how many bytes that are; 0 at the end.
/// It may block. An error, or an exception, ends the transfer.
using stream_reader = std::function<result<std::size_t>(bytes_span into)>;

/// Sends what `next` brings, which is read once and in order.
///
/// size_bytes: the size of the whole, when it is known; it is announced to the server (RFC 2349).
/// Throws std::bad_alloc. See `stream_source`.
[[nodiscard]] content
stream(stream_reader next, std::optional<std::uint64_t> size_bytes = std::nullopt);

/// Sends what is left in `from`, to its end.
///
/// Lifetime: `from` is borrowed and outlives the transfer. Otherwise as the other overload.
[[nodiscard]] content
stream(std::istream& from, std::optional<std::uint64_t> size_bytes = std::nullopt);

/// Stores in memory and hands all of it to `done` once it is whole; to nobody when the transfer
/// fails.
///
/// limit_bytes: more ends the transfer with `errc::too_large`. done: in a server it is called in
/// any of its threads. What it throws is told to the peer as an error. Throws std::bad_alloc.
[[nodiscard]] destination collect(std::size_t limit_bytes, std::function<void(std::string)> done);

} // namespace tftp
