#include "file/replacement.hpp"

#include "base/iovec.hpp"
#include "file/attributes.hpp"
#include "file/directory_entries.hpp"
#include "file/in_place.hpp"
#include "file/temporary_file.hpp"

#include <algorithm>
#include <array>
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

namespace tftp {

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

/// Bytes that are gone when the file loses one of its names.
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

bool replacement::newest_version(struct ::stat& about) const {
    return !versions_.empty() && ::fstatat(
                                     directory_,
                                     version_name(name_, versions_.back()).c_str(),
                                     &about,
                                     AT_SYMLINK_NOFOLLOW
                                 ) == 0;
}

error_code replacement::next_number(std::uint32_t& number) const noexcept {
    number = versions_.empty() ? 0 : versions_.back();
    if (number == std::numeric_limits<std::uint32_t>::max()) {
        return system_error_code(EOVERFLOW);
    }
    ++number;
    return {};
}

error_code replacement::add_version(const struct ::stat& old) {
    struct ::stat newest = {};
    if (newest_version(newest) && newest.st_dev == old.st_dev && newest.st_ino == old.st_ino) {
        // A process that was killed before its rename has left it.
        return {};
    }
    std::uint32_t number = 0;
    if (const error_code failed = next_number(number)) {
        return failed;
    }
    // Room first: once the link exists nothing may throw.
    versions_.reserve(versions_.size() + 1);
    if (::linkat(directory_, name_, directory_, version_name(name_, number).c_str(), 0) != 0) {
        return last_error();
    }
    versions_.push_back(number);
    added_ = true;
    return {};
}

error_code replacement::copy_aside(int old, const struct ::stat& about, bool flush) noexcept {
    try {
        const error_code failed = find_versions();
        return failed ? failed : add_copy(old, about, flush);
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

error_code replacement::add_copy(int old, const struct ::stat& about, bool flush) {
    struct ::stat newest = {};
    if (newest_version(newest) && S_ISREG(newest.st_mode) && newest.st_size == about.st_size &&
        newest.st_ino != about.st_ino) {
        constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        const std::string name = version_name(name_, versions_.back());
        const unique_fd version(::openat(directory_, name.c_str(), flags));
        if (version &&
            is_same_content(old, version.get(), static_cast<std::uint64_t>(about.st_size))) {
            // Left by a process that was killed before it overwrote anything, as a rule.
            return {};
        }
    }
    std::uint32_t number = 0;
    if (const error_code failed = next_number(number)) {
        return failed;
    }
    versions_.reserve(versions_.size() + 1);
    const std::string name = version_name(name_, number);
    temporary_file copy;
    if (const error_code failed = copy.open(directory_)) {
        return failed;
    }
    const auto size = static_cast<std::uint64_t>(about.st_size);
    if (const error_code failed = copy_content(old, copy.fd(), 0, size)) {
        return failed;
    }
    if (copy_attributes(old, copy.fd()).others && ::fchmod(copy.fd(), S_IRUSR | S_IWUSR) != 0) {
        return last_error();
    }
    const std::array<::timespec, 2> times{{{0, UTIME_OMIT}, about.st_mtim}};
    if (::futimens(copy.fd(), times.data()) != 0 || (flush && ::fsync(copy.fd()) != 0)) {
        return last_error();
    }
    const error_code failed =
        copy.is_hidden() ? copy.rename_to(name.c_str(), false) : copy.link_to(name.c_str());
    if (!failed) {
        versions_.push_back(number);
        added_ = true;
    }
    return failed;
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

} // namespace tftp
