#pragma once

#include <tftp/content/content.hpp>
#include <tftp/file/file_sink.hpp>

#include <string>
#include <utility>

namespace tftp {

/// A file of this machine by its path: where `put` reads and `get` writes, and what a server's
/// handler answers with. It is opened where it is needed.
///
/// Written in pieces of 256 KiB, with the rights that the umask leaves, and not flushed to the
/// disk: as cp(1) does; `options` says otherwise. See `make_file_source` and `make_file_sink`.
class file {
public:
    /// path: anywhere in the file system. A server's handler must not build it from what a client
    /// sent: see `export_root`.
    explicit file(std::string path);

    /// options: how it is written.
    file(std::string path, file_sink_options options) noexcept
        : path_(std::move(path)), options_(std::move(options)) {}

    /// Opens it to be sent; holds the reason when that fails. Throws std::bad_alloc.
    operator content() const; // NOLINT(google-explicit-constructor)
    /// Prepares it to be written; the file appears whole, or not at all. Throws std::bad_alloc.
    operator destination() const; // NOLINT(google-explicit-constructor)

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
    file_sink_options options_;
};

} // namespace tftp
