#include <tftp/io/content_map.hpp>

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <unordered_map>

#include <sys/mman.h>

namespace tftp::io {

namespace {

/// What is mapped in this process, for all threads: an address space is one.
class mapping_table {
public:
    /// Returns the octets of the file with that identity, which `fd` has open; none when it cannot
    /// be mapped.
    [[nodiscard]] std::shared_ptr<const std::byte>
    share(int fd, const file_identity& identity) noexcept {
        try {
            const std::scoped_lock lock(mutex_);
            if (mappings_.size() >= sweep_at_) {
                sweep();
            }
            std::weak_ptr<const std::byte>& entry = mappings_[identity];
            std::shared_ptr<const std::byte> octets = entry.lock();
            if (octets == nullptr) {
                octets = map(fd, static_cast<std::size_t>(identity.size_bytes));
                entry = octets;
            }
            return octets;
        } catch (const std::exception&) {
            return nullptr;
        }
    }

private:
    [[nodiscard]] static std::shared_ptr<const std::byte> map(int fd, std::size_t size) {
        void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) {
            return nullptr;
        }
        // Unmaps as well when there is no memory to count who shares it.
        return {static_cast<const std::byte*>(at), [at, size](const std::byte*) {
                    ::munmap(at, size);
                }};
    }

    void sweep() noexcept {
        std::erase_if(mappings_, [](const auto& entry) { return entry.second.expired(); });
        // Each sweep is paid for by as many insertions as it leaves entries behind.
        sweep_at_ = std::max<std::size_t>(64, 2 * mappings_.size());
    }

    std::mutex mutex_;
    std::unordered_map<file_identity, std::weak_ptr<const std::byte>, file_identity_hash> mappings_;
    /// Entries at which the next sweep removes those of unmapped files.
    std::size_t sweep_at_ = 64;
};

std::shared_ptr<const std::byte> shared_mapping(int fd, const file_identity& identity) noexcept {
    static mapping_table of_this_process;
    return of_this_process.share(fd, identity);
}

} // namespace

void content_map::on_read(std::uint64_t begin, std::uint64_t end) noexcept {
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
        const std::size_t words = static_cast<std::size_t>(identity_.size_bytes / piece / 64 + 1);
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
    if (offset >= identity_.size_bytes || size > identity_.size_bytes - offset) {
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
    return {octets_.get() + offset, size};
}

bool content_map::map(int fd) noexcept {
    if (!refused_) {
        octets_ = shared_mapping(fd, identity_);
        refused_ = octets_ == nullptr;
    }
    return !refused_;
}

} // namespace tftp::io
