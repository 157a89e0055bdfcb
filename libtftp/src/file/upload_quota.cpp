#include "base/iovec.hpp"
#include "file/beneath.hpp"
#include "file/directory_entries.hpp"

#include <tftp/file/name_policy.hpp>
#include <tftp/file/upload_quota.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

namespace tftp {

bool upload_quota::has_room(std::uint64_t size_bytes) const noexcept {
    const std::uint64_t now = stored();
    return limit_ == 0 || (now <= limit_ && size_bytes <= limit_ - now);
}

error_code upload_quota::claim(std::uint64_t size_bytes) noexcept {
    if (limit_ == 0) {
        return {};
    }
    std::uint64_t now = stored();
    do {
        if (now > limit_ || size_bytes > limit_ - now) {
            return system_error_code(EDQUOT);
        }
    } while (!stored_.compare_exchange_weak(now, now + size_bytes, std::memory_order_relaxed));
    return {};
}

void upload_quota::release(std::uint64_t size_bytes) noexcept {
    std::uint64_t now = stored();
    // A file that others made larger gives back more than was counted for it.
    while (!stored_.compare_exchange_weak(
        now, now - std::min(now, size_bytes), std::memory_order_relaxed
    )) {
    }
}

namespace {

/// Walks a tree of directories.
class tree_size {
public:
    explicit tree_size(int root) noexcept : root_(root) {}

    [[nodiscard]] result<std::uint64_t> count() {
        pending_.emplace_back(".");
        while (!pending_.empty()) {
            const std::string path = std::move(pending_.back());
            pending_.pop_back();
            if (const error_code failed = enter(path)) {
                return failed;
            }
        }
        return total_;
    }

private:
    [[nodiscard]] error_code enter(const std::string& path) {
        result<unique_fd> directory = open_beneath(root_, path.c_str(), O_RDONLY | O_DIRECTORY, {});
        if (!directory) {
            if (directory.error() == errc::link_refused) {
                return {}; // replaced meanwhile
            }
            switch (directory.error().value()) {
            case EACCES:  // no upload gets there either
            case ENOENT:  // removed,
            case ENOTDIR: // or replaced meanwhile
                return {};
            default:
                return directory.error();
            }
        }
        const int at = directory->get();
        return for_each_entry(std::move(*directory), [&](std::string_view name) {
            add(at, path, std::string(name));
        });
    }

    void add(int directory, const std::string& path, const std::string& name) {
        struct ::stat about = {};
        if (::fstatat(directory, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
            return;
        }
        if (S_ISREG(about.st_mode)) {
            if (about.st_nlink == 1 || linked_.emplace(about.st_dev, about.st_ino).second) {
                // Sparse files are larger than any disk.
                const auto size = static_cast<std::uint64_t>(about.st_size);
                total_ += std::min(size, std::numeric_limits<std::uint64_t>::max() - total_);
            }
        } else if (S_ISDIR(about.st_mode) && path.size() + name.size() < name_octets_max) {
            // Deeper than a request can name, nothing is uploaded.
            pending_.push_back(path + "/" + name);
        }
    }

    int root_;
    std::vector<std::string> pending_;
    std::set<std::pair<::dev_t, ::ino_t>> linked_;
    std::uint64_t total_ = 0;
};

} // namespace

result<std::uint64_t> size_beneath(int directory) noexcept {
    try {
        return tree_size(directory).count();
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

} // namespace tftp
