#include "file/temporary_file.hpp"

#include "base/iovec.hpp"
#include "runtime/random.hpp"

#include <tftp/file/name_policy.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp {

namespace {

constexpr ::mode_t mode_before_umask = 0666;

/// Random names collide only by malice; a bound keeps even that from being a loop.
constexpr int name_attempts_max = 16;

error_code check(int outcome) noexcept {
    return outcome < 0 ? last_error() : error_code();
}

/// Returns true for what file systems, kernels and filters without files without a name answer.
bool means_no_such_files(int error) noexcept {
    return error == EOPNOTSUPP || error == EISDIR || error == ENOENT || error == EINVAL;
}

} // namespace

temporary_file::~temporary_file() {
    discard_name();
}

error_code temporary_file::open(int directory) noexcept {
    directory_ = directory;
    do {
        fd_.reset(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode_before_umask));
    } while (!fd_ && errno == EINTR);
    if (fd_) {
        return {};
    }
    return means_no_such_files(errno) ? open_hidden() : last_error();
}

error_code temporary_file::open_nameless(int directory) noexcept {
    const error_code failed = open(directory);
    if (!failed) {
        discard_name();
    }
    return failed;
}

error_code temporary_file::open_hidden() noexcept {
    for (int attempt = 0; attempt < name_attempts_max; ++attempt) {
        make_name();
        constexpr int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC;
        do {
            fd_.reset(::openat(directory_, hidden_.data(), flags, mode_before_umask));
        } while (!fd_ && errno == EINTR);
        if (fd_) {
            return {};
        }
        const error_code failed = last_error();
        hidden_.front() = '\0';
        if (failed.value() != EEXIST) {
            return failed;
        }
    }
    return system_error_code(EEXIST);
}

void temporary_file::make_name() noexcept {
    char* to = std::copy(temporary_prefix.begin(), temporary_prefix.end(), hidden_.data());
    std::uint64_t random = random_bits();
    for (std::size_t digit = 0; digit < 2 * sizeof random; ++digit) {
        *to++ = "0123456789abcdef"[random & 0xFU];
        random >>= 4U;
    }
    *to = '\0';
}

error_code temporary_file::link_to(const char* name) noexcept {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd_.get());
    if (::linkat(AT_FDCWD, path.data(), directory_, name, AT_SYMLINK_FOLLOW) == 0) {
        return {};
    }
    if (errno != ENOENT) {
        return last_error();
    }
    // No /proc here. Needs CAP_DAC_READ_SEARCH before Linux 6.10.
    return check(::linkat(fd_.get(), "", directory_, name, AT_EMPTY_PATH));
}

error_code temporary_file::link_hidden() noexcept {
    error_code failed;
    for (int attempt = 0; attempt < name_attempts_max; ++attempt) {
        make_name();
        failed = link_to(hidden_.data());
        if (!failed) {
            return {};
        }
        hidden_.front() = '\0';
        if (failed.value() != EEXIST) {
            break;
        }
    }
    return failed;
}

error_code temporary_file::rename_to(const char* name, bool replace) noexcept {
    const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    error_code failed = check(::renameat2(directory_, hidden_.data(), directory_, name, flags));
    const int why = failed.value();
    if (!replace && (why == EINVAL || why == ENOSYS || why == EPERM)) {
        // A file system without RENAME_NOREPLACE: link refuses an existing name as well.
        failed = check(::linkat(directory_, hidden_.data(), directory_, name, 0));
        if (!failed) {
            discard_name();
        }
    }
    if (!failed) {
        hidden_.front() = '\0';
    }
    return failed;
}

void temporary_file::discard_name() noexcept {
    if (is_hidden()) {
        ::unlinkat(directory_, hidden_.data(), 0);
        hidden_.front() = '\0';
    }
}

} // namespace tftp
