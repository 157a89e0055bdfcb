#include "capi/sinks.hpp"

#include "base/iovec.hpp"

#include <tftp/base/assert.hpp>

#include <algorithm>
#include <cstring>

namespace tftp::capi {

error_code malloc_sink::reserve(std::uint64_t size_bytes) noexcept {
    // No memory is taken for a mere promise.
    static_cast<void>(size_bytes);
    return {};
}

error_code malloc_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    TFTP_ASSERT(offset == size_);
    if (const error_code failed = make_room(total_size(payloads))) {
        return failed;
    }
    for (const ::iovec& payload : payloads) {
        std::memcpy(static_cast<char*>(content_.get()) + size_, payload.iov_base, payload.iov_len);
        size_ += payload.iov_len;
    }
    return {};
}

error_code malloc_sink::commit() noexcept {
    if (const error_code failed = make_room(1)) {
        return failed;
    }
    static_cast<char*>(content_.get())[size_] = '\0';
    return {};
}

error_code malloc_sink::make_room(std::size_t more) noexcept {
    if (more <= capacity_ - size_) {
        return {};
    }
    const std::size_t larger = std::max(size_ + more, capacity_ * 2);
    void* const moved = std::realloc(content_.get(), larger);
    if (moved == nullptr) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    static_cast<void>(content_.release());
    content_.reset(moved);
    capacity_ = larger;
    return {};
}

error_code callback_sink::reserve(std::uint64_t size_bytes) noexcept {
    static_cast<void>(size_bytes);
    return {};
}

error_code callback_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    static_cast<void>(offset);
    for (const ::iovec& payload : payloads) {
        if (payload.iov_len != 0 && function_(user_, payload.iov_base, payload.iov_len) != 0) {
            return errc::stopped;
        }
    }
    return {};
}

error_code callback_sink::commit() noexcept {
    return {};
}

} // namespace tftp::capi
