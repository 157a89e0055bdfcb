#include <tftp/file/file_mapping.hpp>
#include <tftp/file/shared_by_file.hpp>

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>

#include <sys/mman.h>

namespace tftp {

namespace {

/// Returns the bytes of a file; none when it cannot be mapped. Throws std::bad_alloc.
std::shared_ptr<const std::byte> map_whole(int fd, std::size_t size) {
    void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return nullptr;
    }
    // Unmaps as well when there is no memory to count who shares it.
    const auto unmap = [at, size](const std::byte*) { ::munmap(at, size); };
    return {static_cast<const std::byte*>(at), unmap};
}

/// Returns the bytes of the file with that identity, which `fd` has open; none when it cannot be
/// mapped. Thread-safe: what is mapped is shared by all threads, as an address space is.
std::shared_ptr<const std::byte> shared_mapping(int fd, const file_identity& identity) noexcept {
    static std::mutex mutex;
    static shared_by_file<const std::byte> mappings;
    try {
        const std::scoped_lock lock(mutex);
        return mappings.share(identity, [&] {
            return map_whole(fd, static_cast<std::size_t>(identity.size_bytes));
        });
    } catch (const std::exception&) {
        return nullptr;
    }
}

} // namespace

void file_mapping::on_read(std::uint64_t begin, std::uint64_t end) noexcept {
    if (identity_.size_bytes > size_max) {
        return;
    }
    // The last piece may be a short one.
    const std::uint64_t first = (begin + piece - 1) / piece;
    const std::uint64_t last =
        end == identity_.size_bytes ? (end + piece - 1) / piece : end / piece;
    if (first >= last) {
        return;
    }
    if (seen_ == nullptr) {
        seen_.reset(new (std::nothrow) std::uint64_t[words()]());
        if (seen_ == nullptr) {
            return;
        }
        age_ = freshness::begin();
    }
    for (std::uint64_t number = first; number < last; ++number) {
        seen_[number / 64] |= std::uint64_t{1} << (number % 64);
    }
}

bytes_view file_mapping::view(int fd, std::uint64_t offset, std::size_t size) noexcept {
    if (offset >= identity_.size_bytes || size > identity_.size_bytes - offset) {
        return {};
    }
    if (seen_ != nullptr && age_.is_over()) {
        std::fill_n(seen_.get(), words(), 0);
        age_ = freshness::begin();
    }
    for (std::uint64_t number = offset / piece; number <= (offset + size - 1) / piece; ++number) {
        if (!seen(number)) {
            return {};
        }
    }
    if (octets_ == nullptr && !map(fd)) {
        return {};
    }
    return {octets_.get() + offset, size};
}

bool file_mapping::map(int fd) noexcept {
    if (!refused_) {
        octets_ = shared_mapping(fd, identity_);
        refused_ = octets_ == nullptr;
    }
    return !refused_;
}

} // namespace tftp
