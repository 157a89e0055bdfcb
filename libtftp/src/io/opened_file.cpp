#include "storage.hpp"
#include "vectors.hpp"

#include <tftp/io/opened_file.hpp>

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include <sys/stat.h>

namespace tftp::io {

namespace {

/// Returns true for errors that say "not now" or "not in this way": the blocking read decides.
bool means_blocking(const error_code& error) noexcept {
    switch (error.value()) {
    case EAGAIN:
    case EOPNOTSUPP: // the file system does not know RWF_NOWAIT
    case ENOSYS:     // the kernel, or a filter, does not know preadv2
    case EPERM:
        return true;
    default:
        return false;
    }
}

/// Returns true when the file ends before `end` by now. To be asked after a read: what is cut off
/// is cleared in the very pages that the read may have been copying, but the length changes first.
bool was_cut_before(int fd, std::uint64_t end) noexcept {
    struct ::stat about = {};
    return ::fstat(fd, &about) == 0 && static_cast<std::uint64_t>(about.st_size) < end;
}

} // namespace

opened_file::opened_file(unique_fd fd, const file_identity& identity, ::mode_t permissions) noexcept
    : fd_(std::move(fd)), identity_(identity), permissions_(permissions), map_(identity) {
    const storage on = storage_of(fd_.get());
    // They refuse RWF_NOWAIT before Linux 6.6, and do not need it.
    in_memory_ = on == storage::memory;
    remote_ = on == storage::remote;
    static std::atomic<std::uint64_t> serials = 0;
    serial_ = serials.fetch_add(1, std::memory_order_relaxed) + 1;
}

result<std::shared_ptr<const opened_file>> opened_file::adopt(unique_fd fd) noexcept {
    struct ::stat about = {};
    if (::fstat(fd.get(), &about) != 0) {
        return last_error();
    }
    if (!S_ISREG(about.st_mode)) {
        return make_error_code(errc::not_regular);
    }
    try {
        return std::shared_ptr<const opened_file>(
            new opened_file(std::move(fd), identity_of(about), about.st_mode & 07777)
        );
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

bool opened_file::shrank() const noexcept {
    return was_cut_before(fd_.get(), size());
}

result<read_outcome> opened_file::read_with(
    std::uint64_t offset, std::span<const ::iovec> gaps, int flags
) const noexcept {
    const std::uint64_t left = size() - std::min(offset, size());
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(total_size(gaps), left));
    const result<std::size_t> got = transfer_all(
        gaps,
        offset,
        wanted,
        [&](const ::iovec* vectors, int count, std::uint64_t at) {
            return flags == 0
                       ? ::preadv(fd_.get(), vectors, count, static_cast<::off_t>(at))
                       : ::preadv2(fd_.get(), vectors, count, static_cast<::off_t>(at), flags);
        }
    );
    if (!got) {
        return got.error();
    }
    if (*got < wanted || (wanted != 0 && was_cut_before(fd_.get(), offset + wanted))) {
        return make_error_code(errc::source_shrank);
    }
    return read_outcome{wanted, wanted == left};
}

result<read_outcome>
opened_file::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept {
    const int flags = in_memory_ ? 0 : RWF_NOWAIT;
    result<read_outcome> outcome = read_with(offset, gaps, flags);
    if (!outcome && means_blocking(outcome.error())) {
        return make_error_code(errc::would_block);
    }
    return outcome;
}

result<read_outcome>
opened_file::read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept {
    return read_with(offset, gaps, 0);
}

result<std::size_t>
opened_file::try_read_some(std::uint64_t offset, bytes_span into) const noexcept {
    const auto wanted = static_cast<std::size_t>(
        std::min<std::uint64_t>(into.size(), size() - std::min(offset, size()))
    );
    if (wanted == 0) {
        return std::size_t{0};
    }
    const ::iovec gap{into.data(), wanted};
    const int flags = in_memory_ ? 0 : RWF_NOWAIT;
    ::ssize_t n = 0;
    do {
        n = ::preadv2(fd_.get(), &gap, 1, static_cast<::off_t>(offset), flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        const error_code failed = last_error();
        return means_blocking(failed) ? make_error_code(errc::would_block) : failed;
    }
    const auto read = static_cast<std::size_t>(n);
    if (read == 0 || was_cut_before(fd_.get(), offset + read)) {
        return make_error_code(errc::source_shrank);
    }
    return read;
}

} // namespace tftp::io
