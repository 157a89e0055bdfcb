#pragma once

#include <tftp/base/error.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// Returns the bytes of all vectors together.
[[nodiscard]] inline std::size_t total_size(std::span<const ::iovec> vectors) noexcept {
    std::size_t total = 0;
    for (const ::iovec& vector : vectors) {
        total += vector.iov_len;
    }
    return total;
}

/// Returns the error that the last system call left in errno.
[[nodiscard]] inline error_code last_error() noexcept {
    return {errno, boost::system::system_category()};
}

/// Returns `code` as an error of the system.
[[nodiscard]] inline error_code system_error_code(int code) noexcept {
    return {code, boost::system::system_category()};
}

/// The vectors of one call that goes on where the last one stopped.
class vector_group {
public:
    /// Takes as many of `vectors` as fit one call, without the first `skip` bytes and with at most
    /// `limit` bytes.
    vector_group(
        std::span<const ::iovec> vectors, std::uint64_t skip, std::uint64_t limit
    ) noexcept {
        for (const ::iovec& vector : vectors) {
            if (skip >= vector.iov_len) {
                skip -= vector.iov_len;
                continue;
            }
            if (limit == 0 || count_ == items_.size()) {
                break;
            }
            ::iovec item = vector;
            item.iov_base = static_cast<std::byte*>(item.iov_base) + skip;
            item.iov_len -= static_cast<std::size_t>(skip);
            skip = 0;
            if (item.iov_len > limit) {
                item.iov_len = static_cast<std::size_t>(limit);
            }
            limit -= item.iov_len;
            items_[count_++] = item;
        }
    }

    [[nodiscard]] const ::iovec* data() const noexcept { return items_.data(); }

    [[nodiscard]] int count() const noexcept { return static_cast<int>(count_); }

private:
    std::array<::iovec, 64> items_{};
    std::size_t count_ = 0;
};

/// Calls `transfer(vectors, count, offset)` until `total` bytes went through it.
///
/// transfer: returns as preadv(2) does. Returns how many bytes went; fewer than `total` when a
/// call returned 0. Interruptions are repeated; other errors are returned even after partial
/// success.
template <class Transfer>
[[nodiscard]] result<std::size_t> transfer_all(
    std::span<const ::iovec> vectors, std::uint64_t offset, std::size_t total, Transfer&& transfer
) noexcept {
    std::size_t done = 0;
    while (done < total) {
        const vector_group group(vectors, done, total - done);
        const ::ssize_t n = transfer(group.data(), group.count(), offset + done);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return last_error();
        }
        if (n == 0) {
            break;
        }
        done += static_cast<std::size_t>(n);
    }
    return done;
}

} // namespace tftp
