#include "vectors.hpp"

#include <tftp/io/sink.hpp>
#include <tftp/wire/assert.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace tftp::io {

error_code memory_sink::reserve(std::uint64_t size_bytes) noexcept {
    // No memory is taken for a mere promise.
    return size_bytes > limit_ ? make_error_code(errc::too_large) : error_code();
}

error_code memory_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    TFTP_ASSERT(offset == content_.size());
    if (total_size(payloads) > limit_ - content_.size()) {
        return errc::too_large;
    }
    try {
        for (const ::iovec& payload : payloads) {
            const auto* octets = static_cast<const std::byte*>(payload.iov_base);
            content_.insert(content_.end(), octets, octets + payload.iov_len);
        }
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    return {};
}

error_code memory_sink::commit() noexcept {
    committed_ = true;
    return {};
}

netascii_sink::netascii_sink(std::shared_ptr<sink> text) noexcept : text_(std::move(text)) {}

error_code netascii_sink::reserve(std::uint64_t /*size_bytes*/) noexcept {
    return {};
}

error_code
netascii_sink::write(std::uint64_t /*offset*/, std::span<const ::iovec> payloads) noexcept {
    for (const ::iovec& payload : payloads) {
        const error_code failed =
            convert({static_cast<const std::byte*>(payload.iov_base), payload.iov_len});
        if (failed) {
            return failed;
        }
    }
    return {};
}

error_code netascii_sink::convert(bytes_view netascii) noexcept {
    std::array<std::byte, 4096> text{};
    while (!netascii.empty()) {
        const netascii_progress step = decoder_.decode(netascii, text);
        netascii = netascii.subspan(step.consumed);
        if (step.produced == 0) {
            continue;
        }
        const ::iovec piece{text.data(), step.produced};
        const error_code failed = text_->write(text_offset_, std::span(&piece, 1));
        if (failed) {
            return failed;
        }
        text_offset_ += step.produced;
    }
    return {};
}

error_code netascii_sink::commit() noexcept {
    if (std::optional<std::byte> last = decoder_.finish()) {
        const ::iovec piece{&*last, 1};
        const error_code failed = text_->write(text_offset_, std::span(&piece, 1));
        if (failed) {
            return failed;
        }
        ++text_offset_;
    }
    return text_->commit();
}

} // namespace tftp::io
