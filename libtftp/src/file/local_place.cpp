#include "file/local_place.hpp"

#include "base/iovec.hpp"
#include "file/remove_own.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace tftp {

namespace {

/// Names change under our hands only by an attack; a bound keeps even that from being a loop.
constexpr int attempts_max = 16;

/// Marks a file that is made only to find its place. Nobody else makes files with the sticky bit.
constexpr ::mode_t mark = S_ISVTX;

/// A path with its last component taken off.
struct split_path {
    std::string directory;
    std::string name;

    explicit split_path(std::string_view path) {
        const std::size_t slash = path.rfind('/');
        name = slash == std::string_view::npos ? path : path.substr(slash + 1);
        directory = slash == std::string_view::npos ? "." : path.substr(0, slash + 1);
    }
};

[[nodiscard]] result<unique_fd> checked(int fd) noexcept {
    if (fd < 0) {
        return last_error();
    }
    return unique_fd(fd);
}

[[nodiscard]] result<unique_fd> open_directory(const std::string& path) noexcept {
    return checked(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

[[nodiscard]] result<struct ::stat> look_at(int fd) noexcept {
    struct ::stat about = {};
    if (::fstat(fd, &about) != 0) {
        return last_error();
    }
    return about;
}

/// What fs.protected_symlinks says, see proc(5). A link that it lets pass can be exchanged by its
/// owner and by that of the directory only.
[[nodiscard]] bool may_follow(const struct ::stat& directory, const struct ::stat& link) noexcept {
    constexpr ::mode_t shared = S_ISVTX | S_IWOTH;
    return (directory.st_mode & shared) != shared || link.st_uid == ::geteuid() ||
           link.st_uid == directory.st_uid;
}

/// Returns by which path the kernel reached an open file.
[[nodiscard]] result<std::string> path_of(int fd) {
    std::array<char, 32> link{};
    std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
    std::array<char, PATH_MAX> path{};
    const ::ssize_t size = ::readlink(link.data(), path.data(), path.size());
    if (size < 0) {
        // No /proc here.
        return system_error_code(EOPNOTSUPP);
    }
    if (static_cast<std::size_t>(size) == path.size()) {
        return system_error_code(ENAMETOOLONG);
    }
    return std::string(path.data(), static_cast<std::size_t>(size));
}

/// Returns the place of an open file; EAGAIN when it has been moved meanwhile.
[[nodiscard]] result<local_place> place_of(int fd) {
    const result<struct ::stat> file = look_at(fd);
    if (!file) {
        return file.error();
    }
    const result<std::string> path = path_of(fd);
    if (!path) {
        return path.error();
    }
    split_path parts(*path);
    result<unique_fd> directory = open_directory(parts.directory);
    if (!directory || !names_file(directory->get(), parts.name.c_str(), *file)) {
        return system_error_code(EAGAIN);
    }
    return local_place{std::move(*directory), std::move(parts.name), *file};
}

/// Finds where a link leads that leads to nothing: the kernel makes a file there, which is taken
/// away again.
[[nodiscard]] result<local_place> place_behind(int directory, const std::string& link) {
    if (const auto known = path_of(directory); !known) {
        return known.error();
    }
    const result<unique_fd> made = checked(::openat(
        directory,
        link.c_str(),
        O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        mark | S_IRUSR | S_IWUSR
    ));
    if (!made) {
        return made.error();
    }
    result<local_place> place = place_of(made->get());
    if (!place || !S_ISREG(place->file->st_mode)) {
        return place ? system_error_code(EAGAIN) : place.error();
    }
    const struct ::stat& file = *place->file;
    if (file.st_size == 0 && (file.st_mode & mark) != 0 && file.st_uid == ::geteuid()) {
        remove_own(place->directory.get(), place->name.c_str(), file);
        place->file.reset();
    }
    return place;
}

/// Returns the place at the end of a link.
[[nodiscard]] result<local_place> follow(local_place link) {
    const result<struct ::stat> directory = look_at(link.directory.get());
    if (!directory) {
        return directory.error();
    }
    if (!may_follow(*directory, *link.file)) {
        return system_error_code(EACCES);
    }
    const result<unique_fd> file =
        checked(::openat(link.directory.get(), link.name.c_str(), O_PATH | O_CLOEXEC));
    if (!file) {
        return file.error().value() == ENOENT ? place_behind(link.directory.get(), link.name)
                                              : file.error();
    }
    const result<struct ::stat> about = look_at(file->get());
    if (!about) {
        return about.error();
    }
    if (S_ISREG(about->st_mode)) {
        return place_of(file->get());
    }
    link.file = *about;
    return link;
}

[[nodiscard]] result<local_place> look_up(split_path parts) {
    result<unique_fd> directory = open_directory(parts.directory);
    if (!directory) {
        return directory.error();
    }
    local_place place{std::move(*directory), std::move(parts.name), {}};
    const result<unique_fd> file =
        checked(::openat(place.directory.get(), place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)
        );
    if (!file) {
        return file.error().value() == ENOENT ? result<local_place>(std::move(place))
                                              : file.error();
    }
    const result<struct ::stat> about = look_at(file->get());
    if (!about) {
        return about.error();
    }
    place.file = *about;
    return S_ISLNK(about->st_mode) ? follow(std::move(place))
                                   : result<local_place>(std::move(place));
}

} // namespace

result<local_place> find_local_place(const std::string& path) {
    const split_path parts(path);
    if (parts.name.empty() || parts.name == "." || parts.name == "..") {
        const unique_fd there(::open(path.c_str(), O_PATH | O_CLOEXEC));
        return system_error_code(!there && errno == ENOTDIR ? ENOTDIR : EISDIR);
    }
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        result<local_place> found = look_up(parts);
        if (found || found.error().value() != EAGAIN) {
            return found;
        }
    }
    return system_error_code(EBUSY);
}

} // namespace tftp
