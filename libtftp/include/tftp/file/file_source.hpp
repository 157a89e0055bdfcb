#pragma once

#include <tftp/base/error.hpp>
#include <tftp/content/source.hpp>
#include <tftp/file/file_cache.hpp>
#include <tftp/file/opened_file.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// Serves an opened file, cut at the size it had when it was opened.
class file_source final : public source {
public:
    /// Serves `file`.
    explicit file_source(std::shared_ptr<const opened_file> file) noexcept;
    ~file_source() override;

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override;

    [[nodiscard]] std::uint64_t lane() const noexcept override;

    [[nodiscard]] bool remote() const noexcept override { return file_->remote(); }

    /// Reads of less than `read_ahead::small_read` bytes come from the cache from now on.
    [[nodiscard]] std::shared_ptr<const void> share(file_cache& cache) noexcept override;

    void unshare() noexcept override;

    /// Whole chunks for small reads of a cache, whole pieces of what can be shown in place.
    [[nodiscard]] extent around(std::uint64_t offset, std::size_t size) const noexcept override;

    /// Other transfers of the same cache need not read it any more.
    void keep(std::uint64_t offset, bytes_view octets) noexcept override;

    /// Empty before share(), until the bytes were read by some source of the same cache, and once
    /// anything was done to the file.
    [[nodiscard]] bytes_view in_place(std::uint64_t offset, std::size_t size) noexcept override;

    [[nodiscard]] bool intact() const noexcept override { return file_->is_untouched(); }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

    /// Returns the file.
    [[nodiscard]] const std::shared_ptr<const opened_file>& file() const noexcept { return file_; }

private:
    std::shared_ptr<const opened_file> file_;
    file_cache* cache_ = nullptr;
    read_ahead::place last_chunk_ = 0;
    /// The last read was one for the chunks.
    bool small_ = false;
    /// What was read last without a gap, but for pieces that file_->map() knows of already.
    std::uint64_t read_begin_ = 0;
    std::uint64_t read_end_ = 0;
};

/// Opens the regular file at `path`, anywhere in the file system: for a client's upload.
///
/// Errors: `errc::not_regular`; others as open(2) says.
[[nodiscard]] result<std::unique_ptr<source>> make_file_source(const char* path) noexcept;

} // namespace tftp
