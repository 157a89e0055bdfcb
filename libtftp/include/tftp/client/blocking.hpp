#pragma once

#include <tftp/base/error.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/client/error.hpp>
#include <tftp/content/content.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tftp {

/// What `get` brought into memory.
class download {
public:
    /// A larger file ends the transfer with `errc::too_large`, where
    /// `client_request::size_max_bytes` does not say otherwise: 256 MiB.
    static constexpr std::size_t size_max_default = std::size_t{256} << 20;

    download(std::shared_ptr<const memory_sink> content, transfer_summary ended) noexcept
        : content_(std::move(content)), ended_(std::move(ended)) {}

    /// Returns the content as text. Throws std::bad_alloc.
    [[nodiscard]] std::string text() const {
        return {reinterpret_cast<const char*>(bytes().data()), bytes().size()};
    }

    /// Returns the content. Lifetime: as long as the download.
    [[nodiscard]] bytes_view bytes() const noexcept { return content_->content(); }

    /// Returns what it took.
    [[nodiscard]] const transfer_summary& summary() const noexcept { return ended_; }

private:
    std::shared_ptr<const memory_sink> content_;
    transfer_summary ended_;
};

/// Reads the file of `url`, tftp://HOST[:PORT]/FILE[;mode=netascii], into memory and returns when
/// it is whole.
///
/// Looks up the host and asks one of its addresses after the other as long as nobody answers there.
/// how: everything but server, name and mode, which the URL says. Throws tftp::error, whose text
/// says what went wrong and what the server said; std::bad_alloc. Blocks the calling thread; any
/// number of threads may have transfers of their own. RFC 1350, 3617.
[[nodiscard]] download get(std::string_view url, const client_request& how = {});

/// Reads the file of `url` into a file, or any other sink. Otherwise as the overload for memory.
transfer_summary get(std::string_view url, const destination& into, const client_request& how = {});

/// As the overload that throws; error: why it failed, cleared on success. A name is looked up
/// first, which may take longer than `how.timeout`.
[[nodiscard]] transfer_summary
get(std::string_view url, const destination& into, const client_request& how, error_code& error
) noexcept;

/// Writes what `from` holds to the file of `url` and returns when its last block is acknowledged.
/// Otherwise as `get`.
transfer_summary put(std::string_view url, const content& from, const client_request& how = {});

/// As the overload that throws; error: why it failed, cleared on success.
[[nodiscard]] transfer_summary
put(std::string_view url, const content& from, const client_request& how, error_code& error
) noexcept;

/// Watches a blocking transfer and may end it.
class progress_monitor {
public:
    progress_monitor() = default;
    progress_monitor(const progress_monitor&) = delete;
    progress_monitor& operator=(const progress_monitor&) = delete;
    virtual ~progress_monitor() = default;

    /// Called about ten times a second, and whenever a signal handler has run.
    ///
    /// bytes: of content so far. total: bytes announced, when known. Return false to end
    /// the transfer with `errc::stopped`.
    [[nodiscard]] virtual bool
    on_progress(std::uint64_t bytes, std::optional<std::uint64_t> total) noexcept = 0;
};

/// Reads a file from a server and returns when it is whole and committed, or has failed.
///
/// In netascii mode the sink receives local text. error: why it failed; cleared on success. Without
/// options when the server refuses them: see `client_request::fall_back`. Blocks the calling
/// thread; any number of threads may have transfers of their own. RFC 1350.
[[nodiscard]] transfer_summary
get(const client_request& asked, sink& into, error_code& error, progress_monitor* monitor = nullptr
) noexcept;

/// Like the other overload; throws `tftp::error` when it fails.
transfer_summary get(const client_request& asked, sink& into);

/// Writes a file to a server and returns when its last block is acknowledged, or it has failed.
/// Otherwise as `get`.
[[nodiscard]] transfer_summary
put(const client_request& asked,
    source& from,
    error_code& error,
    progress_monitor* monitor = nullptr) noexcept;

/// Like the other overload; throws `tftp::error` when it fails.
transfer_summary put(const client_request& asked, source& from);

} // namespace tftp
