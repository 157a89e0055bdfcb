#include "base/iovec.hpp"
#include "file/storage.hpp"

#include <tftp/file/file_source.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace tftp {

file_source::file_source(std::shared_ptr<const opened_file> file) noexcept
    : file_(std::move(file)) {}

file_source::~file_source() {
    unshare();
}

std::shared_ptr<const void> file_source::share(file_cache& cache) noexcept {
    cache_ = &cache;
    const auto own = std::exchange(file_, cache.share(file_));
    return own == file_ ? nullptr : own;
}

void file_source::unshare() noexcept {
    if (cache_ != nullptr) {
        cache_->leave(file_);
    }
    cache_ = nullptr;
}

std::uint64_t file_source::lane() const noexcept {
    return lane_of(file_->identity().device);
}

std::optional<std::uint64_t> file_source::size() const noexcept {
    return file_->size();
}

result<read_outcome>
file_source::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    small_ = total_size(gaps) < read_ahead::small_read;
    if (cache_ != nullptr && small_) {
        return cache_->chunks.try_read(*file_, offset, gaps, last_chunk_);
    }
    result<read_outcome> got = file_->try_read(offset, gaps);
    if (got && cache_ != nullptr) {
        // Windows are not made of whole pieces: what follows the last read belongs to it.
        read_begin_ = offset == read_end_ ? read_begin_ : offset;
        read_end_ = offset + got->bytes;
        file_->map().on_read(read_begin_, read_end_);
        read_begin_ = std::max(read_begin_, read_end_ / file_mapping::piece * file_mapping::piece);
    }
    return got;
}

extent file_source::around(std::uint64_t offset, std::size_t size) const noexcept {
    constexpr std::uint64_t whole = file_mapping::piece;
    static_assert(whole == read_ahead::chunk_size);
    const bool small = size < read_ahead::small_read;
    const bool mapped = !file_->remote() && file_->size() <= file_mapping::size_max;
    if (cache_ == nullptr || offset >= file_->size() || !(small || mapped)) {
        return {offset, size};
    }
    // What is known of a piece is known to be in memory, which is not enough for a chunk.
    const bool known = !small && file_->map().knows(offset);
    const std::uint64_t begin = known ? offset : offset / whole * whole;
    const std::uint64_t end = (offset + size + whole - 1) / whole * whole;
    return {begin, static_cast<std::size_t>(std::min(end, file_->size()) - begin)};
}

void file_source::keep(std::uint64_t offset, bytes_view octets) noexcept {
    if (cache_ == nullptr) {
        return;
    }
    if (small_) {
        cache_->chunks.keep(*file_, offset, octets);
    }
    if (!file_->remote()) {
        file_->map().on_read(offset, offset + octets.size());
    }
}

bytes_view file_source::in_place(std::uint64_t offset, std::size_t size) noexcept {
    if (cache_ == nullptr || file_->remote() || !file_->seems_untouched()) {
        return {};
    }
    return file_->map().view(file_->native_handle(), offset, size);
}

result<read_outcome>
file_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    return file_->read(offset, gaps);
}

result<std::unique_ptr<source>> make_file_source(const char* path) noexcept {
    // O_NONBLOCK: the open of a FIFO returns, so that it can be refused.
    unique_fd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd) {
        return last_error();
    }
    result<std::shared_ptr<const opened_file>> file = opened_file::adopt(std::move(fd));
    if (!file) {
        return file.error();
    }
    // What /proc makes up on each read has no size: nothing would be sent, and nobody told.
    std::byte first{};
    if ((*file)->size() == 0 && ::pread((*file)->native_handle(), &first, 1, 0) > 0) {
        return make_error_code(errc::not_regular);
    }
    std::unique_ptr<source> made(new (std::nothrow) file_source(std::move(file).value()));
    if (!made) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    return made;
}

} // namespace tftp
