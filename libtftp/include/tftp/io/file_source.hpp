#pragma once

#include <tftp/io/opened_file.hpp>
#include <tftp/io/read_ahead.hpp>
#include <tftp/io/source.hpp>
#include <tftp/wire/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

namespace tftp::io {

/// Serves an opened file, cut at the size it had when it was opened.
class file_source final : public source {
public:
    /// cache: serves reads of less than `read_ahead::small_read` octets; null for none. It belongs
    /// to the thread that calls `try_read` and destroys the source, and must outlive the source.
    explicit file_source(
        std::shared_ptr<const opened_file> file, read_ahead* cache = nullptr
    ) noexcept;
    ~file_source() override;

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override;

    [[nodiscard]] const void* identity() const noexcept override { return file_.get(); }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

    /// Returns the file; its address is a fitting key for `blocking_pool`.
    [[nodiscard]] const std::shared_ptr<const opened_file>& file() const noexcept { return file_; }

private:
    std::shared_ptr<const opened_file> file_;
    read_ahead* cache_;
};

/// Opens the regular file at `path`, anywhere in the file system: for a client's upload.
///
/// Errors: `errc::not_regular`; others as open(2) says.
[[nodiscard]] result<std::unique_ptr<source>> make_file_source(const char* path) noexcept;

} // namespace tftp::io
