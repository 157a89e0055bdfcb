#include "base/iovec.hpp"
#include "file/local_place.hpp"
#include "file/upload_plan.hpp"

#include <tftp/file/access.hpp>
#include <tftp/file/file_sink.hpp>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp {

namespace {

/// Opens what is neither a file nor a directory, to be written as it is.
result<std::unique_ptr<sink>> open_direct(const local_place& place) noexcept {
    unique_fd fd(
        ::openat(place.directory.get(), place.name.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY)
    );
    if (!fd) {
        return last_error();
    }
    struct ::stat opened = {};
    if (::fstat(fd.get(), &opened) != 0) {
        return last_error();
    }
    if (S_ISREG(opened.st_mode)) {
        // Another file has taken the name since it was looked at.
        return system_error_code(EBUSY);
    }
    std::unique_ptr<sink> made(new (std::nothrow) fd_sink(std::move(fd)));
    if (!made) {
        return system_error_code(ENOMEM);
    }
    return made;
}

/// Returns the system's temporary directory; null when there is none.
std::shared_ptr<const unique_fd> open_temporary_directory() {
    const char* const named = ::secure_getenv("TMPDIR");
    unique_fd directory(::open(
        named != nullptr && *named != '\0' ? named : "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC
    ));
    return directory ? std::make_shared<const unique_fd>(std::move(directory)) : nullptr;
}

/// The reasons that a server gives to its log are one to the user of a client.
error_code errno_of(const error_code& refused) noexcept {
    return refused == errc::not_writable || refused == errc::directory_not_writable ||
                   refused == errc::no_entry
               ? system_error_code(EACCES)
               : refused;
}

result<std::unique_ptr<sink>> open_beside(local_place place, file_sink_options options) {
    const int at = place.directory.get();
    file_target target;
    target.directory = std::make_shared<const unique_fd>(std::move(place.directory));
    target.path = std::move(place.name);
    if (!options.spool) {
        options.spool = open_temporary_directory();
    }
    // What cannot be written is told before anything is asked for.
    const result<upload_plan> plan = plan_upload(at, target, options);
    if (!plan) {
        return errno_of(plan.error());
    }
    auto file = std::make_unique<file_sink>(std::move(target), options);
    if (options.piece_octets == 0) {
        return std::unique_ptr<sink>(std::move(file));
    }
    return std::unique_ptr<sink>(
        std::make_unique<buffered_sink>(std::move(file), options.piece_octets)
    );
}

} // namespace

error_code fd_sink::reserve(std::uint64_t /*size_bytes*/) noexcept {
    return {};
}

error_code fd_sink::write(std::uint64_t /*offset*/, std::span<const ::iovec> payloads) noexcept {
    const std::size_t total = total_size(payloads);
    const result<std::size_t> stored = transfer_all(
        payloads,
        0,
        total,
        [this](const ::iovec* vectors, int count, std::uint64_t /*at*/) {
            ::ssize_t n = ::writev(fd_, vectors, count);
            while (n < 0 && errno == EAGAIN) {
                ::pollfd wait{fd_, POLLOUT, 0};
                if (::poll(&wait, 1, -1) < 0) {
                    return ::ssize_t{-1};
                }
                n = ::writev(fd_, vectors, count);
            }
            return n;
        }
    );
    if (!stored) {
        return stored.error();
    }
    return *stored == total ? error_code() : system_error_code(EIO);
}

error_code fd_sink::commit() noexcept {
    return {};
}

result<std::unique_ptr<sink>>
make_file_sink(const char* path, const file_sink_options& options) noexcept {
    try {
        result<local_place> place = find_local_place(path);
        if (!place) {
            return place.error();
        }
        if (!place->file) {
            return open_beside(std::move(*place), options);
        }
        if (S_ISDIR(place->file->st_mode)) {
            return system_error_code(EISDIR);
        }
        if (!S_ISREG(place->file->st_mode)) {
            return open_direct(*place);
        }
        if (options.existing == overwrite::deny) {
            return system_error_code(EEXIST);
        }
        // A file of ours that is write-protected is not to be replaced, although rename could.
        if (const error_code denied = check_access(
                place->directory.get(), place->name.c_str(), W_OK, AT_SYMLINK_NOFOLLOW
            )) {
            return denied;
        }
        return open_beside(std::move(*place), options);
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

} // namespace tftp
