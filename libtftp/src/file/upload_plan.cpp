#include "file/upload_plan.hpp"

#include "base/iovec.hpp"
#include "file/beneath.hpp"
#include "file/in_place.hpp"
#include "file/upload_target.hpp"

#include <tftp/file/access.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace tftp {

namespace {

/// Returns errno, or 0 when this process has `rights` to `name` in `directory`, or to the directory
/// itself for ".".
int try_access(int directory, const char* name, int rights) noexcept {
    return check_access(directory, name, rights).value();
}

/// Returns errno, or 0 when this process has `rights` to an opened file.
int try_access(int file, int rights) noexcept {
    if (::faccessat(file, "", rights, AT_EACCESS | AT_EMPTY_PATH) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS && errno != ENOENT && errno != EPERM) {
        return errno;
    }
    // Before Linux 5.8, or behind a filter that is older than the call.
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", file);
    return try_access(AT_FDCWD, path.data(), rights);
}

/// Returns what STATX_ATTR_* says of a file or directory; 0 where the system does not know (mount
/// points before Linux 5.8): the commit finds out then.
std::uint64_t attributes_of(int fd) noexcept {
    struct ::statx about = {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, 0, &about) != 0) {
        return 0;
    }
    return about.stx_attributes & about.stx_attributes_mask;
}

/// Returns true when a sticky directory lets only the owners of the file and of itself give the
/// name to another file. Root may in any case.
bool is_kept_for_owner(const struct ::stat& directory, const struct ::stat& file) noexcept {
    const ::uid_t self = ::geteuid();
    return (directory.st_mode & S_ISVTX) != 0 && self != 0 && self != file.st_uid &&
           self != directory.st_uid;
}

/// Looks for what stands in the way, in the order in which it is told.
class planner {
public:
    planner(int directory, const file_target& target, const file_sink_options& options) noexcept
        : directory_(directory), target_(target), options_(options) {}

    [[nodiscard]] result<upload_plan> make() noexcept {
        const error_code refused = look();
        return refused ? refused : result<upload_plan>(std::move(plan_));
    }

private:
    [[nodiscard]] bool keeps() const noexcept { return options_.existing == overwrite::keep; }

    [[nodiscard]] error_code look() noexcept {
        // To keep versions is to list them.
        const int listed = keeps() ? R_OK : 0;
        beside_refused_ = try_access(directory_, ".", W_OK | X_OK | listed);
        struct ::stat named = {};
        if (::fstatat(directory_, base_name(target_), &named, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) {
                return errno == EACCES ? errc::no_entry : last_error();
            }
            return why_not_beside();
        }
        plan_.link = S_ISLNK(named.st_mode);
        if (!plan_.link && !S_ISREG(named.st_mode)) {
            return errc::not_regular;
        }
        const bool denied = options_.existing == overwrite::deny;
        if (denied && !plan_.link) {
            return system_error_code(EEXIST);
        }
        if (const error_code refused = look_at_file()) {
            // The name is taken by a link that leads nowhere, too.
            return denied && refused == system_error_code(ENOENT) ? system_error_code(EEXIST)
                                                                  : refused;
        }
        return denied ? system_error_code(EEXIST) : choose();
    }

    [[nodiscard]] result<unique_fd> open_file() const noexcept {
        if (plan_.link) {
            return open_beneath(
                target_.directory->get(), target_.path.c_str(), O_PATH, resolution_of_link(target_)
            );
        }
        constexpr int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
        unique_fd file(::openat(directory_, base_name(target_), flags));
        return file ? result<unique_fd>(std::move(file)) : last_error();
    }

    [[nodiscard]] error_code look_at_file() noexcept {
        if (plan_.link &&
            (target_.links == symlinks::no || options_.method == upload_method::rename)) {
            return errc::not_regular;
        }
        result<unique_fd> file = open_file();
        if (!file) {
            return file.error();
        }
        plan_.file = std::move(*file);
        if (::fstat(plan_.file.get(), &plan_.about) != 0) {
            return last_error();
        }
        if (!S_ISREG(plan_.about.st_mode)) {
            return errc::not_regular;
        }
        // To keep a file is to link it, which takes both rights (protected_hardlinks in proc(5)),
        // or to copy it.
        const int rights = keeps() ? R_OK | W_OK : W_OK;
        if (const int refused = try_access(plan_.file.get(), rights)) {
            const bool to_write = refused == EACCES && try_access(plan_.file.get(), W_OK) == EACCES;
            return to_write ? make_error_code(errc::not_writable) : system_error_code(refused);
        }
        attributes_ = attributes_of(plan_.file.get());
        const bool fixed = (attributes_ & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
        return fixed ? system_error_code(EPERM) : error_code();
    }

    /// Returns why the directory takes no content.
    [[nodiscard]] error_code why_not_beside() const noexcept {
        if (beside_refused_ == 0) {
            return {};
        }
        const bool to_write =
            beside_refused_ == EACCES && try_access(directory_, ".", W_OK) == EACCES;
        return to_write ? make_error_code(errc::directory_not_writable)
                        : system_error_code(beside_refused_);
    }

    /// Returns why the name cannot be given to another file.
    [[nodiscard]] error_code why_no_rename() const noexcept {
        struct ::stat directory = {};
        if (const error_code refused = why_not_beside()) {
            return refused;
        }
        if (plan_.link) {
            return errc::not_regular;
        }
        if (::fstatat(directory_, "", &directory, AT_EMPTY_PATH) != 0) {
            return last_error();
        }
        if ((attributes_ & STATX_ATTR_MOUNT_ROOT) != 0) {
            return errc::forbidden;
        }
        const bool only_grows = (attributes_of(directory_) & STATX_ATTR_APPEND) != 0;
        if (is_kept_for_owner(directory, plan_.about)) {
            return errc::kept_for_owner;
        }
        return only_grows ? system_error_code(EPERM) : error_code();
    }

    /// A program that runs cannot be written, which shows by an attempt alone. Other files are left
    /// alone: who watches them would take that for a change.
    [[nodiscard]] error_code try_to_open() const noexcept {
        constexpr ::mode_t executable = S_IXUSR | S_IXGRP | S_IXOTH;
        constexpr int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC;
        if ((plan_.about.st_mode & executable) == 0 || plan_.link) {
            return {};
        }
        const unique_fd file(::openat(directory_, base_name(target_), flags));
        return !file && errno == ETXTBSY ? last_error() : error_code();
    }

    [[nodiscard]] error_code choose() noexcept {
        const error_code no_rename = why_no_rename();
        if (no_rename && options_.method == upload_method::rename) {
            return no_rename;
        }
        plan_.how = no_rename || options_.method == upload_method::in_place
                        ? upload_plan::way::in_place
                        : upload_plan::way::rename;
        if (const error_code busy =
                plan_.how == upload_plan::way::in_place ? try_to_open() : error_code()) {
            return busy;
        }
        plan_.beside = beside_refused_ == 0;
        if (plan_.beside) {
            return {};
        }
        // Versions are made there.
        if (keeps() || !options_.spool) {
            return why_not_beside();
        }
        const int refused = try_access(options_.spool->get(), ".", W_OK | X_OK);
        return refused != 0 ? why_not_beside() : error_code();
    }

    int directory_;
    const file_target& target_;
    const file_sink_options& options_;
    upload_plan plan_;
    /// errno of a directory that takes no content; 0 when it does.
    int beside_refused_ = 0;
    std::uint64_t attributes_ = 0;
};

} // namespace

result<upload_plan>
plan_upload(int directory, const file_target& target, const file_sink_options& options) noexcept {
    return planner(directory, target, options).make();
}

error_code check_room(
    int directory,
    const upload_plan& plan,
    const file_sink_options& options,
    std::uint64_t size_bytes
) noexcept {
    const int collects = plan.beside ? directory : options.spool->get();
    if (const error_code full = check_room(collects, size_bytes)) {
        return full;
    }
    if (plan.how != upload_plan::way::in_place) {
        return {};
    }
    struct ::stat about = {};
    const bool together =
        ::fstatat(collects, "", &about, AT_EMPTY_PATH) == 0 && about.st_dev == plan.about.st_dev;
    return check_room_in_place(plan.file.get(), plan.about, size_bytes, together ? size_bytes : 0);
}

} // namespace tftp
