#include "vectors.hpp"

#include <tftp/io/file_sink.hpp>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::io {

namespace {

struct release_memory {
    void operator()(char* memory) const noexcept { std::free(memory); }
};

/// Opens what is neither a file nor a directory, to be written as it is.
result<std::unique_ptr<sink>> open_direct(const char* path) noexcept {
    unique_fd fd(::open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd) {
        return last_error();
    }
    std::unique_ptr<sink> made(new (std::nothrow) fd_sink(std::move(fd)));
    if (!made) {
        return system_error_code(ENOMEM);
    }
    return made;
}

result<std::unique_ptr<sink>> open_beside(std::string path, const file_sink_options& options) {
    const std::size_t end = path.rfind('/');
    const std::string directory = end == std::string::npos ? "." : path.substr(0, end + 1);
    std::string name = end == std::string::npos ? std::move(path) : path.substr(end + 1);
    if (name.empty() || name == "." || name == "..") {
        return system_error_code(EISDIR);
    }
    unique_fd parent(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) {
        return last_error();
    }
    if (::faccessat(parent.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
        return last_error();
    }
    file_target target;
    target.directory = std::make_shared<const unique_fd>(std::move(parent));
    target.path = std::move(name);
    auto file = std::make_unique<file_sink>(std::move(target), options);
    if (options.piece_octets == 0) {
        return std::unique_ptr<sink>(std::move(file));
    }
    return std::unique_ptr<sink>(
        std::make_unique<buffered_sink>(std::move(file), options.piece_octets)
    );
}

/// Returns where a name that leads to nothing leads: the end of its symbolic links, if any.
result<std::string> follow_links(std::string path) {
    constexpr int links_max = 40; // as the kernel has it
    for (int links = 0; links < links_max; ++links) {
        std::array<char, PATH_MAX> target{};
        const ::ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        if (size < 0) {
            return path;
        }
        const std::string_view next(target.data(), static_cast<std::size_t>(size));
        const std::size_t end = next.starts_with('/') ? 0 : path.rfind('/') + 1;
        path.replace(end, std::string::npos, next);
    }
    return system_error_code(ELOOP);
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
    struct ::stat about = {};
    try {
        if (::stat(path, &about) != 0) {
            if (errno != ENOENT) {
                return last_error();
            }
            result<std::string> end = follow_links(path);
            return end ? open_beside(std::move(*end), options) : end.error();
        }
        if (S_ISDIR(about.st_mode)) {
            return system_error_code(EISDIR);
        }
        if (!S_ISREG(about.st_mode)) {
            return open_direct(path);
        }
        if (options.existing == overwrite::deny) {
            return system_error_code(EEXIST);
        }
        // A file of ours that is write-protected is not to be replaced, although rename could.
        if (::faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0) {
            return last_error();
        }
        // The file is replaced where it stands, not the link that leads to it.
        const std::unique_ptr<char, release_memory> real(::realpath(path, nullptr));
        return real ? open_beside(real.get(), options) : last_error();
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

} // namespace tftp::io
