#include "start_checks.hpp"

#include "start_error.hpp"

#include <tftp/base/unique_fd.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tftpd {

namespace {

#ifndef SYS_close_range
/// The same number on all architectures; not in headers before Linux 5.9.
constexpr long SYS_close_range = 436;
#endif

/// Closes what /proc lists. Returns false where there is no /proc, or it cannot be read.
[[nodiscard]] bool close_listed_from(int first) noexcept {
    struct close_listing {
        void operator()(::DIR* listing) const noexcept { ::closedir(listing); }
    };

    const std::unique_ptr<::DIR, close_listing> listing(::opendir("/proc/self/fd"));
    if (!listing) {
        return false;
    }
    // The listing may skip what follows a name that went away: read anew until nothing is left.
    bool found = true;
    while (found) {
        found = false;
        ::rewinddir(listing.get());
        errno = 0;
        while (const ::dirent* const entry = ::readdir(listing.get())) {
            const std::string_view name(entry->d_name);
            int fd = -1;
            const auto parsed = std::from_chars(name.data(), name.data() + name.size(), fd);
            if (parsed.ec == std::errc() && fd >= first && fd != ::dirfd(listing.get())) {
                ::close(fd);
                found = true;
            }
            errno = 0;
        }
        if (errno != 0) {
            return false;
        }
    }
    return true;
}

/// A call with a descriptor that is none fails with EBADF; otherwise it is refused as such.
void require(const char* name, long outcome) {
    if (outcome < 0 && errno != EBADF) {
        throw start_error(fmt::format(
            "cannot serve: the kernel, or the filter of a container, refuses the system call {}: "
            "{}",
            name,
            std::strerror(errno)
        ));
    }
}

void require_network_calls() {
    for (const int family : {AF_INET, AF_INET6}) {
        const tftp::unique_fd made(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!made && errno != EAFNOSUPPORT && errno != EMFILE && errno != ENFILE) {
            require("socket", -1);
        }
    }
    char byte = 0;
    ::iovec part{&byte, 1};
    ::msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const int on = 1;
    ::sockaddr_storage address{};
    ::socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<::sockaddr*>(&address);
    require("bind", ::bind(-1, generic, size));
    require("getsockname", ::getsockname(-1, generic, &size));
    require("setsockopt", ::setsockopt(-1, SOL_SOCKET, SO_BROADCAST, &on, sizeof on));
    require("recvmsg", ::recvmsg(-1, &message, MSG_DONTWAIT));
    require("recvfrom", ::recvfrom(-1, &byte, 1, MSG_DONTWAIT, nullptr, nullptr));
    require("sendmsg", ::sendmsg(-1, &message, MSG_DONTWAIT));
    require("sendto", ::sendto(-1, &byte, 1, MSG_DONTWAIT, generic, sizeof(::sockaddr_in)));
}

void require_waiting_calls() {
    ::epoll_event event{};
    const ::itimerspec never{};
    require("epoll_wait", ::epoll_wait(-1, &event, 1, 0));
    require("epoll_ctl", ::epoll_ctl(-1, EPOLL_CTL_ADD, -1, &event));
    // Asio goes without timers that it cannot have, but not without those that it cannot set.
    const tftp::unique_fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    if (timer) {
        require("timerfd_settime", ::timerfd_settime(timer.get(), 0, &never, nullptr));
    }
    require("poll", ::poll(nullptr, 0, 0));
    require("fcntl", ::fcntl(-1, F_GETFL));
}

void require_file_calls() {
    char byte = 0;
    const ::iovec part{&byte, 1};
    struct ::stat about = {};
    require("openat", ::openat(-1, "name", O_RDONLY | O_CLOEXEC));
    require("fstat", ::fstat(-1, &about));
    require("fstatat", ::fstatat(-1, "name", &about, AT_SYMLINK_NOFOLLOW));
    require("read", ::read(-1, &byte, 1));
    require("write", ::write(-1, &byte, 1));
    require("preadv", ::preadv(-1, &part, 1, 0));
}

void require_upload_calls() {
    const char byte = 0;
    const ::iovec part{const_cast<char*>(&byte), 1};
    require("openat", ::openat(-1, "name", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    require("pwritev", ::pwritev(-1, &part, 1, 0));
    require("ftruncate", ::ftruncate(-1, 0));
    require("fchmod", ::fchmod(-1, 0644));
    require("fsync", ::fsync(-1));
    require("linkat", ::linkat(-1, "name", -1, "name", 0));
    require("renameat", ::renameat(-1, "name", -1, "name"));
    require("unlinkat", ::unlinkat(-1, "name", 0));
}

} // namespace

void open_standard_streams() noexcept {
    int fd = -1;
    do {
        fd = ::open("/dev/null", O_RDWR);
        if (fd < 0) {
            // A root without devices: what cannot be written to holds the number as well.
            fd = ::open("/", O_PATH);
        }
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        ::close(fd);
    }
}

void close_descriptors_from(unsigned first) noexcept {
    if (::syscall(SYS_close_range, first, ~0U, 0) == 0 ||
        close_listed_from(static_cast<int>(first))) {
        return;
    }
    // Neither the call (Linux 5.9) nor /proc. Numbers above a limit that was lowered stay open.
    ::rlimit limit{};
    constexpr ::rlim_t most = 1U << 20U;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > most) {
        limit.rlim_max = most;
    }
    for (::rlim_t fd = first; fd < limit.rlim_max; ++fd) {
        ::close(static_cast<int>(fd));
    }
}

std::size_t raise_descriptor_limit() noexcept {
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        const ::rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
        // With the old limit it serves all the same, only fewer at a time.
        return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
    }
    return SIZE_MAX;
}

void require_descriptors(std::size_t least, std::size_t limit) {
    std::vector<tftp::unique_fd> more;
    while (more.size() < least) {
        tftp::unique_fd one(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
        if (!one && (errno == EMFILE || errno == ENFILE || errno == EINVAL)) {
            throw start_error(fmt::format(
                "cannot serve with {} open files: raise the limit (ulimit -H -n, LimitNOFILE=) to "
                "{} at least, or lower --threads",
                limit,
                limit + least - more.size()
            ));
        }
        if (!one) {
            return; // It is not the number that is refused.
        }
        more.push_back(std::move(one));
    }
}

void require_calls(bool writes) {
    require_network_calls();
    require_waiting_calls();
    require_file_calls();
    if (writes) {
        require_upload_calls();
    }
}

} // namespace tftpd
