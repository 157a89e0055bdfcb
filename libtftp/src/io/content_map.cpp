#include <tftp/io/content_map.hpp>

#include <new>

#include <sys/mman.h>

namespace tftp::io {

content_map::~content_map() {
    if (octets_ != nullptr) {
        ::munmap(octets_, mapped_);
    }
}

void content_map::on_read(std::uint64_t begin, std::uint64_t end) noexcept {
    if (size_ > size_max) {
        return;
    }
    // The last piece may be a short one.
    const std::uint64_t first = (begin + piece - 1) / piece;
    const std::uint64_t last = end == size_ ? (end + piece - 1) / piece : end / piece;
    if (first >= last) {
        return;
    }
    if (seen_ == nullptr) {
        const std::size_t words = static_cast<std::size_t>(size_ / piece / 64 + 1);
        seen_.reset(new (std::nothrow) std::uint64_t[words]());
        if (seen_ == nullptr) {
            return;
        }
    }
    for (std::uint64_t number = first; number < last; ++number) {
        seen_[number / 64] |= std::uint64_t{1} << (number % 64);
    }
}

bytes_view content_map::view(int fd, std::uint64_t offset, std::size_t size) noexcept {
    if (offset >= size_ || size > size_ - offset) {
        return {};
    }
    for (std::uint64_t number = offset / piece; number <= (offset + size - 1) / piece; ++number) {
        if (!seen(number)) {
            return {};
        }
    }
    if (octets_ == nullptr && !map(fd)) {
        return {};
    }
    return {octets_ + offset, size};
}

bool content_map::map(int fd) noexcept {
    if (refused_) {
        return false;
    }
    const auto size = static_cast<std::size_t>(size_);
    void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        refused_ = true;
        return false;
    }
    octets_ = static_cast<std::byte*>(at);
    mapped_ = size;
    return true;
}

} // namespace tftp::io
