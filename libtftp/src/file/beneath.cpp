#include "file/beneath.hpp"

#include "base/iovec.hpp"
#include "file/path_walk.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftp {

namespace {

/// The kernel gives up with EAGAIN when a rename anywhere races with the resolution of "..".
constexpr int attempts_max = 128;

/// How long a lease or a delegation is waited for: its holder flushes what it has, and answers.
constexpr auto patience = std::chrono::seconds(1);
constexpr auto pause_min = std::chrono::milliseconds(1);
constexpr auto pause_max = std::chrono::milliseconds(50);

[[nodiscard]] bool has_parent(std::string_view path) noexcept {
    while (!path.empty()) {
        const std::string_view name = path.substr(0, path.find('/'));
        if (name == "..") {
            return true;
        }
        path.remove_prefix(std::min(name.size() + 1, path.size()));
    }
    return false;
}

result<unique_fd>
open_at(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    ::open_how how{};
    how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
    how.resolve = options.links == symlinks::chroot ? RESOLVE_IN_ROOT : RESOLVE_BENEATH;
    how.resolve |= RESOLVE_NO_MAGICLINKS;
    if (options.links == symlinks::no) {
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
    return system_error_code(options.only_cached || options.patient ? EAGAIN : EBUSY);
}

/// A path that is missing where links spell it may be there beneath the root.
[[nodiscard]] result<unique_fd>
walk(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    using reading = path_walk::reading;
    try {
        path_walk spelled(directory, options, reading::spelled);
        result<unique_fd> found = spelled.open(path, flags);
        if (found || !spelled.came_in() || found.error() != system_error_code(ENOENT)) {
            return found;
        }
        result<unique_fd> other =
            path_walk(directory, options, reading::beneath_root).open(path, flags);
        return other ? std::move(other) : std::move(found);
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

result<unique_fd>
open_once(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    // RESOLVE_IN_ROOT does not tell a request that leaves from a link that does.
    const bool by_kernel =
        !options.force_walk && (options.links != symlinks::chroot || !has_parent(path));
    if (by_kernel) {
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
        case ELOOP:
            return options.links == symlinks::no ? errc::link_refused : errc::link_loop;
        case EXDEV:
            // Out by ".." or by a link that may come back; or, of what is cached, another disk.
            if (options.same_mount) {
                return opened;
            }
            break;
        default:
            return opened;
        }
    }
    if (options.only_cached) {
        return system_error_code(EAGAIN);
    }
    if (options.same_mount && !by_kernel && !options.force_walk) {
        return system_error_code(EXDEV);
    }
    return walk(directory, path, flags, options);
}

} // namespace

result<unique_fd>
open_beneath(int directory, const char* path, int flags, const beneath_options& options) noexcept {
    using std::chrono::steady_clock;
    result<unique_fd> opened = open_once(directory, path, flags, options);
    if (!options.patient) {
        return opened;
    }
    const auto end = steady_clock::now() + patience;
    auto pause = std::chrono::duration_cast<steady_clock::duration>(pause_min);
    while (!opened && opened.error() == system_error_code(EAGAIN) && steady_clock::now() < end) {
        std::this_thread::sleep_for(pause);
        pause = std::min<steady_clock::duration>(2 * pause, pause_max);
        opened = open_once(directory, path, flags, options);
    }
    return opened;
}

} // namespace tftp
