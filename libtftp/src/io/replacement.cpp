#include "replacement.hpp"

#include "directory_entries.hpp"
#include "vectors.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::io {

namespace {

/// Reads ".~K~"; empty for anything else.
std::optional<std::uint32_t> version_of(std::string_view suffix) noexcept {
    if (!suffix.starts_with(".~") || !suffix.ends_with('~') || suffix.size() < 4) {
        return std::nullopt;
    }
    const std::string_view digits = suffix.substr(2, suffix.size() - 3);
    std::uint32_t number = 0;
    const char* const end = digits.data() + digits.size();
    const auto [read, failed] = std::from_chars(digits.data(), end, number);
    if (failed != std::errc() || read != end || digits.front() == '0') {
        return std::nullopt;
    }
    return number;
}

std::string version_name(std::string_view name, std::uint32_t number) {
    return std::string(name) + ".~" + std::to_string(number) + "~";
}

/// Octets that are gone when the file loses one of its names.
std::uint64_t freed_by_unlink(const struct ::stat& file) noexcept {
    return S_ISREG(file.st_mode) && file.st_nlink == 1 ? static_cast<std::uint64_t>(file.st_size)
                                                       : 0;
}

} // namespace

bool is_version_name(std::string_view name) noexcept {
    const std::size_t suffix = name.rfind(".~");
    return suffix != std::string_view::npos && suffix != 0 &&
           version_of(name.substr(suffix)).has_value();
}

error_code replacement::set_aside() noexcept {
    struct ::stat old = {};
    if (::fstatat(directory_, name_, &old, AT_SYMLINK_NOFOLLOW) != 0) {
        return last_error();
    }
    if (versions_max_ == 0) {
        freed_ = freed_by_unlink(old);
        return {};
    }
    try {
        const error_code failed = find_versions();
        return failed ? failed : add_version(old);
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

error_code replacement::find_versions() {
    versions_.clear();
    unique_fd listing(::openat(directory_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!listing) {
        return last_error();
    }
    const std::string_view base(name_);
    const error_code failed = for_each_entry(std::move(listing), [&](std::string_view entry) {
        if (entry.starts_with(base)) {
            if (const auto number = version_of(entry.substr(base.size()))) {
                versions_.push_back(*number);
            }
        }
    });
    std::sort(versions_.begin(), versions_.end());
    return failed;
}

error_code replacement::add_version(const struct ::stat& old) {
    std::uint32_t number = 0;
    if (!versions_.empty()) {
        number = versions_.back();
        struct ::stat newest = {};
        if (::fstatat(
                directory_, version_name(name_, number).c_str(), &newest, AT_SYMLINK_NOFOLLOW
            ) == 0 &&
            newest.st_dev == old.st_dev && newest.st_ino == old.st_ino) {
            // A process that was killed before its rename has left it.
            return {};
        }
        if (number == std::numeric_limits<std::uint32_t>::max()) {
            return system_error_code(EOVERFLOW);
        }
    }
    ++number;
    // Room first: once the link exists nothing may throw.
    versions_.reserve(versions_.size() + 1);
    if (::linkat(directory_, name_, directory_, version_name(name_, number).c_str(), 0) != 0) {
        return last_error();
    }
    versions_.push_back(number);
    added_ = true;
    return {};
}

void replacement::undo() noexcept {
    if (std::exchange(added_, false)) {
        try {
            ::unlinkat(directory_, version_name(name_, versions_.back()).c_str(), 0);
        } catch (const std::bad_alloc&) {
            // The old file keeps a second name, which the next replacement uses.
        }
    }
}

std::uint64_t replacement::finish() noexcept {
    std::uint64_t freed = freed_;
    const std::size_t surplus =
        versions_max_ == 0 ? 0 : versions_.size() - std::min(versions_.size(), versions_max_);
    try {
        for (std::size_t i = 0; i < surplus; ++i) {
            const std::string oldest = version_name(name_, versions_[i]);
            struct ::stat about = {};
            const bool known =
                ::fstatat(directory_, oldest.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0;
            // One that cannot be removed now is tried again with the next upload.
            if (::unlinkat(directory_, oldest.c_str(), 0) == 0 && known) {
                freed += freed_by_unlink(about);
            }
        }
    } catch (const std::bad_alloc&) {
        // The next upload removes them.
    }
    return freed;
}

} // namespace tftp::io
