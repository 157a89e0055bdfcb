#include "beneath.hpp"

#include "vectors.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftp::io {

namespace {

/// The kernel gives up with EAGAIN when a rename anywhere races with the resolution of "..".
constexpr int attempts_max = 128;

/// As the kernel's own bound on links in one path.
constexpr int links_max = 40;

result<unique_fd>
open_at(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    ::open_how how{};
    how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    if (!options.follow_links) {
        how.resolve |= RESOLVE_NO_SYMLINKS;
    }
    if (options.only_cached) {
        how.resolve |= RESOLVE_CACHED | RESOLVE_NO_XDEV;
    }
    if (options.same_mount) {
        how.resolve |= RESOLVE_NO_XDEV;
    }
    const int attempts = options.only_cached ? 1 : attempts_max;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
        if (fd >= 0) {
            return unique_fd(static_cast<int>(fd));
        }
        if (errno != EAGAIN && errno != EINTR) {
            return last_error();
        }
    }
    return system_error_code(options.only_cached ? EAGAIN : EBUSY);
}

/// Resolves one component at a time and follows no link by the kernel's hand: for kernels before
/// 5.6 and for filters that do not know openat2. ".." is never given to the kernel either, so a
/// directory moved away meanwhile cannot lead out.
class walk {
public:
    walk(int root, const beneath_options& options) noexcept : root_(root), options_(options) {}

    [[nodiscard]] result<unique_fd> open(const char* path, int flags) {
        pending_ = path;
        while (skip_separators(), !pending_.empty()) {
            const std::string name = take_component();
            const bool slash = !pending_.empty();
            skip_separators();
            wants_directory_ = wants_directory_ || (slash && pending_.empty());
            if (const error_code failed = step(name, flags)) {
                return failed;
            }
        }
        if (target_) {
            return std::move(target_);
        }
        // The last component led back to a directory that is open already.
        return checked(::openat(here(), ".", flags | O_CLOEXEC));
    }

private:
    [[nodiscard]] int here() const noexcept { return current_ ? current_.get() : root_; }

    [[nodiscard]] static result<unique_fd> checked(int fd) noexcept {
        if (fd < 0) {
            return last_error();
        }
        return unique_fd(fd);
    }

    void skip_separators() { pending_.erase(0, pending_.find_first_not_of('/')); }

    [[nodiscard]] std::string take_component() {
        const std::size_t end = pending_.find('/');
        std::string name = pending_.substr(0, end);
        pending_.erase(0, name.size());
        return name;
    }

    /// Enters one component: a directory, or the target when nothing is pending.
    [[nodiscard]] error_code step(const std::string& name, int flags) {
        if (name == ".") {
            return {};
        }
        if (name == "..") {
            return leave();
        }
        const bool last = pending_.empty();
        const int at_end = flags | (wants_directory_ ? O_DIRECTORY : 0);
        const int how = (last ? at_end : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC;
        unique_fd next(::openat(here(), name.c_str(), how));
        if (!next) {
            const int why = errno;
            // A link in the way: ELOOP, or ENOTDIR where a directory was asked for.
            return why == ELOOP || why == ENOTDIR ? follow(name, why) : system_error_code(why);
        }
        struct ::stat about = {};
        if ((how & O_PATH) != 0 && ::fstat(next.get(), &about) == 0 && S_ISLNK(about.st_mode)) {
            return follow(name, ELOOP); // such an open stops at a link
        }
        if (last) {
            target_ = std::move(next);
        } else {
            current_ = std::move(next);
            entered_ += name;
            entered_ += '/';
        }
        return {};
    }

    [[nodiscard]] error_code follow(const std::string& name, int why) {
        std::array<char, PATH_MAX> text{};
        const ::ssize_t size = ::readlinkat(here(), name.c_str(), text.data(), text.size());
        if (size < 0) {
            return system_error_code(why);
        }
        if (!options_.follow_links || ++links_ > links_max) {
            return system_error_code(ELOOP);
        }
        const std::string_view target(text.data(), static_cast<std::size_t>(size));
        if (target.starts_with('/')) {
            return system_error_code(EXDEV);
        }
        if (target.size() + pending_.size() + 1 >= PATH_MAX) {
            return system_error_code(ENAMETOOLONG);
        }
        std::string rest(target);
        if (!pending_.empty()) {
            rest += '/';
            rest += pending_;
        }
        pending_ = std::move(rest);
        return {};
    }

    /// Goes to the parent by entering everything above again from the root.
    [[nodiscard]] error_code leave() {
        if (entered_.empty()) {
            return system_error_code(EXDEV);
        }
        entered_.pop_back();
        entered_.erase(entered_.rfind('/') + 1);
        current_.reset();
        std::size_t begin = 0;
        while (begin < entered_.size()) {
            const std::size_t end = entered_.find('/', begin);
            const std::string name = entered_.substr(begin, end - begin);
            unique_fd next(
                ::openat(here(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            );
            if (!next) {
                return last_error();
            }
            current_ = std::move(next);
            begin = end + 1;
        }
        return {};
    }

    int root_;
    beneath_options options_;
    unique_fd current_;
    unique_fd target_;
    /// Names of the directories from the root to the current one, each with a slash behind it.
    std::string entered_;
    std::string pending_;
    /// What is left ended in a slash, as the target of a link may.
    bool wants_directory_ = false;
    int links_ = 0;
};

} // namespace

result<unique_fd>
open_beneath(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    if (!options.force_walk) {
        result<unique_fd> opened = open_at(directory, path, flags, options);
        if (opened.has_value()) {
            return opened;
        }
        switch (opened.error().value()) {
        case ENOSYS: // the kernel, or a filter, does not know the call
        case EPERM:
            break;
        case EINVAL:
            // RESOLVE_CACHED is younger than the call (Linux 5.12).
            return options.only_cached ? system_error_code(EAGAIN) : opened.error();
        default:
            return opened;
        }
    }
    if (options.only_cached) {
        return system_error_code(EAGAIN);
    }
    try {
        return walk(directory, options).open(path, flags);
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

} // namespace tftp::io
