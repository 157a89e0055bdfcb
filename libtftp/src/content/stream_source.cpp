#include "base/iovec.hpp"

#include <tftp/content/stream_source.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstring>
#include <istream>
#include <new>
#include <utility>

namespace tftp {

namespace {

/// Calls `next`, which is the user's and may throw.
[[nodiscard]] result<std::size_t> call(const stream_reader& next, bytes_span into) noexcept {
    try {
        return next(into);
    } catch (const boost::system::system_error& failed) {
        return failed.code();
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    } catch (...) {
        return make_error_code(boost::system::errc::io_error);
    }
}

} // namespace

stream_source::stream_source(stream_reader next, std::optional<std::uint64_t> size_bytes) noexcept
    : next_(std::move(next)), size_(size_bytes) {}

void stream_source::keep_window(std::size_t bytes) noexcept {
    if (bytes <= capacity_) {
        return;
    }
    std::unique_ptr<std::byte[]> larger(new (std::nothrow) std::byte[bytes]);
    if (larger == nullptr) {
        return; // the first read that needs it fails
    }
    const std::uint64_t kept = std::min<std::uint64_t>(produced_, capacity_);
    for (std::uint64_t n = produced_ - kept; n < produced_; ++n) {
        larger[n % bytes] = ring_[n % capacity_];
    }
    ring_ = std::move(larger);
    capacity_ = bytes;
}

result<read_outcome>
stream_source::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    const std::size_t wanted = total_size(gaps);
    if (const error_code failed = check(offset, wanted)) {
        return failed;
    }
    if (offset + wanted > produced_ && !ended_) {
        return make_error_code(errc::would_block);
    }
    return copy_out(offset, gaps);
}

result<read_outcome>
stream_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    const std::size_t wanted = total_size(gaps);
    if (const error_code failed = check(offset, wanted)) {
        return failed;
    }
    if (const error_code failed = produce(offset + wanted)) {
        return failed;
    }
    return copy_out(offset, gaps);
}

/// Reads on until byte `until` is there, or the end.
error_code stream_source::produce(std::uint64_t until) noexcept {
    while (produced_ < until && !ended_) {
        const auto at = static_cast<std::size_t>(produced_ % capacity_);
        const std::size_t room = std::min(capacity_ - at, until - produced_);
        const result<std::size_t> got = call(next_, bytes_span(ring_.get() + at, room));
        if (!got) {
            return got.error();
        }
        ended_ = *got == 0;
        produced_ += std::min(*got, room);
    }
    return {};
}

error_code stream_source::check(std::uint64_t offset, std::size_t wanted) const noexcept {
    const std::uint64_t kept_from = produced_ - std::min<std::uint64_t>(produced_, capacity_);
    const bool overtaken = offset + wanted > produced_ && wanted > capacity_;
    return offset < kept_from || offset > produced_ || overtaken
               ? make_error_code(errc::not_rewindable)
               : error_code();
}

read_outcome
stream_source::copy_out(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept {
    read_outcome outcome;
    for (const ::iovec& gap : gaps) {
        auto* to = static_cast<std::byte*>(gap.iov_base);
        std::size_t left = std::min<std::uint64_t>(gap.iov_len, produced_ - offset);
        while (left > 0) {
            const auto at = static_cast<std::size_t>(offset % capacity_);
            const std::size_t part = std::min(left, capacity_ - at);
            std::memcpy(to, ring_.get() + at, part);
            to += part;
            offset += part;
            left -= part;
            outcome.bytes += part;
        }
    }
    outcome.end = ended_ && offset == produced_;
    return outcome;
}

content stream(stream_reader next, std::optional<std::uint64_t> size_bytes) {
    return std::make_shared<stream_source>(std::move(next), size_bytes);
}

content stream(std::istream& from, std::optional<std::uint64_t> size_bytes) {
    const auto next = [&from](bytes_span into) -> result<std::size_t> {
        from.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
        if (from.bad()) {
            return make_error_code(boost::system::errc::io_error);
        }
        return static_cast<std::size_t>(from.gcount());
    };
    return stream(stream_reader(next), size_bytes);
}

} // namespace tftp
