#include "base/iovec.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/content/sink.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace tftp {

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

buffered_sink::buffered_sink(
    std::shared_ptr<sink> into, std::size_t capacity, memory_budget* budget
) noexcept
    : into_(std::move(into)), capacity_(capacity), budget_(budget) {}

error_code buffered_sink::reserve(std::uint64_t size_bytes) noexcept {
    return into_->reserve(size_bytes);
}

bool buffered_sink::take_memory() noexcept {
    if (octets_ == nullptr) {
        if (budget_ != nullptr) {
            // It is held to the end: half of the budget is for those that cannot do without.
            if (budget_->left() < budget_->capacity() / 2 + capacity_) {
                return false;
            }
            share_ = budget_share(*budget_, capacity_, budget_use::collecting);
            if (!share_.held()) {
                return false;
            }
        }
        octets_.reset(new (std::nothrow) std::byte[capacity_]);
    }
    return octets_ != nullptr;
}

error_code buffered_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    if (!std::exchange(begun_, true) || total_size(payloads) >= capacity_ || !take_memory()) {
        if (const error_code failed = flush()) {
            return failed;
        }
        return into_->write(offset, payloads);
    }
    if (used_ == 0) {
        offset_ = offset;
    }
    for (const ::iovec& payload : payloads) {
        const auto* octets = static_cast<const std::byte*>(payload.iov_base);
        if (const error_code failed = collect({octets, payload.iov_len})) {
            return failed;
        }
    }
    return {};
}

error_code buffered_sink::collect(bytes_view octets) noexcept {
    while (!octets.empty()) {
        const auto end = capacity_ - static_cast<std::size_t>(offset_ % capacity_);
        const std::size_t part = std::min(octets.size(), end - used_);
        std::memcpy(octets_.get() + used_, octets.data(), part);
        used_ += part;
        octets = octets.subspan(part);
        if (used_ == end) {
            if (const error_code failed = flush()) {
                return failed;
            }
        }
    }
    return {};
}

error_code buffered_sink::flush() noexcept {
    if (used_ == 0) {
        return {};
    }
    const ::iovec whole{octets_.get(), used_};
    const error_code failed = into_->write(offset_, std::span(&whole, 1));
    offset_ += used_;
    used_ = 0;
    return failed;
}

error_code buffered_sink::commit() noexcept {
    const error_code failed = flush();
    return failed ? failed : into_->commit();
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

} // namespace tftp
