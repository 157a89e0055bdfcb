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

/// A `source` or a `sink`, or why there is none; made from either without a word.
template <class Stream>
class opened_stream {
public:
    /// Uses `stream`; it is not null.
    template <std::derived_from<Stream> Derived>
    opened_stream(std::shared_ptr<Derived> stream) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<Stream>(std::move(stream))) {}

    /// Uses `stream`; it is not null. Throws std::bad_alloc.
    template <std::derived_from<Stream> Derived>
    opened_stream(std::unique_ptr<Derived> stream) // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<Stream>(std::move(stream))) {}

    /// Uses `stream`. Lifetime: borrowed; it outlives the transfer.
    opened_stream(Stream& stream) noexcept // NOLINT(google-explicit-constructor)
        : opened_(std::shared_ptr<Stream>(std::shared_ptr<void>(), &stream)) {}

    /// There is none, because of `why`: a server answers its client so.
    opened_stream(error_code why) noexcept : opened_(why) {} // NOLINT(google-explicit-constructor)

    /// As the constructor with an error_code.
    opened_stream(errc why) noexcept // NOLINT(google-explicit-constructor)
        : opened_stream(make_error_code(why)) {}

    /// As the constructor with an error_code; the client is told this very code.
    opened_stream(peer_errc why) noexcept // NOLINT(google-explicit-constructor)
        : opened_stream(make_error_code(why)) {}

    /// Returns the source or the sink, or why there is none.
    [[nodiscard]] const result<std::shared_ptr<Stream>>& opened() const noexcept { return opened_; }

private:
    result<std::shared_ptr<Stream>> opened_;
};

/// Something to send: what `put` uploads, and what a server's handler answers a read with.
class content : public opened_stream<source> {
public:
    using opened_stream::opened_stream;
};

/// A place for what comes: where `get` stores a download, and a server's handler an upload.
class destination : public opened_stream<sink> {
public:
    using opened_stream::opened_stream;
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
