#include "top_level.hpp"

#include <tftp/file/access.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftpd {

namespace {

/// A start is not to take as long as a directory is large.
constexpr int names_max = 10'000;

struct close_directory {
    void operator()(::DIR* open) const noexcept { ::closedir(open); }
};

/// Files that not everybody may read.
struct private_files {
    std::size_t readable = 0;
    std::size_t unreadable = 0;
};

[[nodiscard]] private_files count(::DIR* open) {
    private_files found;
    const int directory = ::dirfd(open);
    for (int names = 0; names < names_max; ++names) {
        const ::dirent* const entry = ::readdir(open);
        if (entry == nullptr) {
            break;
        }
        struct ::stat about = {};
        if (::fstatat(directory, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(about.st_mode) || (about.st_mode & S_IROTH) != 0) {
            continue;
        }
        const bool readable = !tftp::check_access(directory, entry->d_name, R_OK);
        ++(readable ? found.readable : found.unreadable);
    }
    return found;
}

} // namespace

std::optional<std::string>
files_of_other_kind(const std::string& directory, bool world, const std::string& user) {
    const std::unique_ptr<::DIR, close_directory> open(::opendir(directory.c_str()));
    if (!open) {
        return std::nullopt;
    }
    const private_files found = count(open.get());
    if (found.readable + found.unreadable == 0) {
        return std::nullopt;
    }
    if (world) {
        return fmt::format(
            "serves what everybody may read (--serve world): {} at the top level not for others, "
            "refused",
            found.readable + found.unreadable
        );
    }
    return fmt::format(
        "serves what user {} may read (--serve readable): {} at the top level not for others, "
        "served; {} not for this user, refused",
        user,
        found.readable,
        found.unreadable
    );
}

} // namespace tftpd
