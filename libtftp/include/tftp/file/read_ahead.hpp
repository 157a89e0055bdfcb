#pragma once

#include <tftp/base/error.hpp>
#include <tftp/content/source.hpp>
#include <tftp/file/freshness.hpp>
#include <tftp/file/opened_file.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// A small cache of file content for lockstep transfers, which would otherwise pay one read system
/// call a block (0.77 of about 9 microseconds). Chunks are shared by all transfers of one opened
/// file; the least recently used one goes first, and one that is older than `content_age_max` is
/// read anew.
///
/// Not thread-safe: one belongs to each worker. Memory is taken chunk by chunk at need.
class read_ahead {
public:
    /// Bytes of one chunk.
    static constexpr std::size_t chunk_size = 65536;
    /// Chunks held at most: 4 MiB.
    static constexpr std::size_t chunks_max = 64;
    /// Reads of fewer bytes than this gain from the cache; larger ones are cheaper without it.
    static constexpr std::size_t small_read = 16384;

    read_ahead() = default;
    read_ahead(const read_ahead&) = delete;
    read_ahead& operator=(const read_ahead&) = delete;

    /// Which chunk a reader used last: where its next bytes probably are.
    using place = std::size_t;

    /// Fills `gaps` from octet `offset` of `file` on; promises and errors as `source::try_read`.
    ///
    /// last: of this reader, at first 0.
    [[nodiscard]] result<read_outcome> try_read(
        const opened_file& file, std::uint64_t offset, std::span<const ::iovec> gaps, place& last
    ) noexcept;

    /// Takes bytes that were read elsewhere, just now, from octet `offset` of `file` on, as far as
    /// they fill a chunk or reach the end of the file.
    void keep(const opened_file& file, std::uint64_t offset, bytes_view octets) noexcept;

    /// Gives back all chunks of `file`.
    void forget(const opened_file& file) noexcept;

    /// Returns how many chunks hold memory now.
    [[nodiscard]] std::size_t chunks() const noexcept;

private:
    struct chunk {
        /// `opened_file::serial()`; 0 when the chunk belongs to no file.
        std::uint64_t file = 0;
        std::uint64_t index = 0;
        std::uint64_t last_use = 0;
        /// Bytes valid from the chunk's start on.
        std::size_t filled = 0;
        /// Of the first of them.
        freshness age;
        std::unique_ptr<std::byte[]> octets;
    };

    [[nodiscard]] chunk*
    find_or_recycle(std::uint64_t file, std::uint64_t index, place& last) noexcept;
    /// Makes at least `needed` bytes valid.
    [[nodiscard]] static error_code
    fill(chunk& into, const opened_file& file, std::size_t needed) noexcept;

    /// Those that were ever in use, without the last ones that no file has any more.
    [[nodiscard]] std::span<chunk> used() noexcept { return std::span(chunks_).first(used_); }

    std::array<chunk, chunks_max> chunks_{};
    std::size_t used_ = 0;
    std::uint64_t uses_ = 0;
};

} // namespace tftp
