#include "fault/faults.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <new>
#include <time.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tftp::test {

namespace {

/// Stands for a short count in a list of errors.
constexpr int less = 0;

fault_plan planned;
fault_hit hit;
std::uint64_t calls = 0;
bool is_armed = false;
bool remote_disks = false;
std::chrono::nanoseconds slept{};

/// Returns whether this call is the one to fail, and remembers it.
[[nodiscard]] bool
chosen(const char* call, fault_family family, std::initializer_list<int> errors) noexcept {
    if (!is_armed || family != planned.family) {
        return false;
    }
    if (planned.lasting && hit.call != nullptr) {
        // A signal that interrupts for ever is no fault that exists.
        return std::strcmp(hit.call, call) == 0 && hit.error != EINTR && hit.error != less;
    }
    if (++calls != planned.nth) {
        return false;
    }
    hit.call = call;
    hit.error = *std::next(
        errors.begin(),
        static_cast<std::ptrdiff_t>(std::min<std::size_t>(planned.variant, errors.size() - 1))
    );
    return true;
}

/// As `chosen`, for a call that has no short count.
[[nodiscard]] bool
fails(const char* call, fault_family family, std::initializer_list<int> errors) noexcept {
    if (!chosen(call, family, errors)) {
        return false;
    }
    errno = hit.error;
    return true;
}

[[nodiscard]] bool socket_fails(const char* call, std::initializer_list<int> errors) noexcept {
    return fails(call, fault_family::socket, errors);
}

[[nodiscard]] bool file_fails(const char* call, std::initializer_list<int> errors) noexcept {
    return fails(call, fault_family::file, errors);
}

/// Reads or writes through `real`: fails, or moves half of the first vector.
template <class Real>
ssize_t moves(
    const char* call,
    const ::iovec* vectors,
    int count,
    std::initializer_list<int> errors,
    Real real
) {
    if (!chosen(call, fault_family::file, errors)) {
        return real(vectors, count);
    }
    if (hit.error != less) {
        errno = hit.error;
        return -1;
    }
    ::iovec half = vectors[0];
    half.iov_len = (half.iov_len + 1) / 2;
    return real(&half, 1);
}

} // namespace

void set_remote_disks(bool remote) noexcept {
    remote_disks = remote;
}

void forget_sleep() noexcept {
    slept = {};
}

void plan_fault(const fault_plan& plan) noexcept {
    planned = plan;
    hit = {};
    calls = 0;
}

fault_hit fault_so_far() noexcept {
    return hit;
}

armed::armed() noexcept {
    is_armed = true;
}

armed::~armed() {
    is_armed = false;
}

} // namespace tftp::test

// The linker's --wrap leads calls of NAME to __wrap_NAME, and __real_NAME to NAME.
#define TFTP_REAL(name) __asm__("__real_" #name)
#define TFTP_WRAP(name) __asm__("__wrap_" #name)

extern "C" {

int real_socket(int domain, int type, int protocol) TFTP_REAL(socket);
int real_bind(int fd, const ::sockaddr* address, ::socklen_t size) TFTP_REAL(bind);
int real_connect(int fd, const ::sockaddr* address, ::socklen_t size) TFTP_REAL(connect);
int real_getsockname(int fd, ::sockaddr* address, ::socklen_t* size) TFTP_REAL(getsockname);
int real_setsockopt(int fd, int level, int name, const void* value, ::socklen_t size)
    TFTP_REAL(setsockopt);
int real_getsockopt(int fd, int level, int name, void* value, ::socklen_t* size)
    TFTP_REAL(getsockopt);
ssize_t real_sendmsg(int fd, const ::msghdr* message, int flags) TFTP_REAL(sendmsg);
int real_sendmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags) TFTP_REAL(sendmmsg);
ssize_t real_sendto(
    int fd, const void* octets, std::size_t size, int flags, const ::sockaddr* to, ::socklen_t of
) TFTP_REAL(sendto);
ssize_t
real_recvfrom(int fd, void* octets, std::size_t size, int flags, ::sockaddr* from, ::socklen_t* of)
    TFTP_REAL(recvfrom);
ssize_t real_recvmsg(int fd, ::msghdr* message, int flags) TFTP_REAL(recvmsg);
int real_recvmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags, ::timespec* limit)
    TFTP_REAL(recvmmsg);
int real_eventfd(unsigned count, int flags) TFTP_REAL(eventfd);
int real_epoll_create1(int flags) TFTP_REAL(epoll_create1);
int real_epoll_ctl(int set, int what, int fd, ::epoll_event* event) TFTP_REAL(epoll_ctl);
int real_epoll_wait(int set, ::epoll_event* events, int count, int limit) TFTP_REAL(epoll_wait);
int real_open(const char* path, int flags, ...) TFTP_REAL(open);
int real_openat(int directory, const char* path, int flags, ...) TFTP_REAL(openat);
int real_openat_2(int directory, const char* path, int flags) TFTP_REAL(__openat_2);
long real_syscall(long number, ...) TFTP_REAL(syscall);
int real_close(int fd) TFTP_REAL(close);
ssize_t real_preadv(int fd, const ::iovec* vectors, int count, ::off_t at) TFTP_REAL(preadv);
ssize_t real_preadv2(int fd, const ::iovec* vectors, int count, ::off_t at, int flags)
    TFTP_REAL(preadv2);
ssize_t real_pwritev(int fd, const ::iovec* vectors, int count, ::off_t at) TFTP_REAL(pwritev);
int real_fallocate(int fd, int mode, ::off_t at, ::off_t size) TFTP_REAL(fallocate);
int real_ftruncate(int fd, ::off_t size) TFTP_REAL(ftruncate);
int real_fsync(int fd) TFTP_REAL(fsync);
int real_fstat(int fd, struct ::stat* about) TFTP_REAL(fstat);
int real_fstatat(int directory, const char* path, struct ::stat* about, int flags)
    TFTP_REAL(fstatat);
int real_fstatfs(int fd, struct ::statfs* about) TFTP_REAL(fstatfs);
int real_fstatvfs(int fd, struct ::statvfs* about) TFTP_REAL(fstatvfs);
int real_faccessat(int directory, const char* path, int mode, int flags) TFTP_REAL(faccessat);
int real_fchmod(int fd, ::mode_t mode) TFTP_REAL(fchmod);
int real_linkat(int from, const char* old, int to, const char* name, int flags) TFTP_REAL(linkat);
int real_renameat2(int from, const char* old, int to, const char* name, unsigned flags)
    TFTP_REAL(renameat2);
int real_unlinkat(int directory, const char* path, int flags) TFTP_REAL(unlinkat);
int real_stat(const char* path, struct ::stat* about) TFTP_REAL(stat);
char* real_realpath(const char* path, char* resolved) TFTP_REAL(realpath);
int real_clock_gettime(::clockid_t id, ::timespec* now) TFTP_REAL(clock_gettime);

} // extern "C"

using tftp::test::chosen;
using tftp::test::fault_family;
using tftp::test::file_fails;
using tftp::test::less;
using tftp::test::moves;
using tftp::test::slept;
using tftp::test::socket_fails;

extern "C" {

int wrap_socket(int domain, int type, int protocol) TFTP_WRAP(socket);
int wrap_bind(int fd, const ::sockaddr* address, ::socklen_t size) TFTP_WRAP(bind);
int wrap_connect(int fd, const ::sockaddr* address, ::socklen_t size) TFTP_WRAP(connect);
int wrap_getsockname(int fd, ::sockaddr* address, ::socklen_t* size) TFTP_WRAP(getsockname);
int wrap_setsockopt(int fd, int level, int name, const void* value, ::socklen_t size)
    TFTP_WRAP(setsockopt);
int wrap_getsockopt(int fd, int level, int name, void* value, ::socklen_t* size)
    TFTP_WRAP(getsockopt);
ssize_t wrap_sendmsg(int fd, const ::msghdr* message, int flags) TFTP_WRAP(sendmsg);
int wrap_sendmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags) TFTP_WRAP(sendmmsg);
ssize_t wrap_sendto(
    int fd, const void* octets, std::size_t size, int flags, const ::sockaddr* to, ::socklen_t of
) TFTP_WRAP(sendto);
ssize_t
wrap_recvfrom(int fd, void* octets, std::size_t size, int flags, ::sockaddr* from, ::socklen_t* of)
    TFTP_WRAP(recvfrom);
ssize_t wrap_recvmsg(int fd, ::msghdr* message, int flags) TFTP_WRAP(recvmsg);
int wrap_recvmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags, ::timespec* limit)
    TFTP_WRAP(recvmmsg);
int wrap_eventfd(unsigned count, int flags) TFTP_WRAP(eventfd);
int wrap_epoll_create1(int flags) TFTP_WRAP(epoll_create1);
int wrap_epoll_ctl(int set, int what, int fd, ::epoll_event* event) TFTP_WRAP(epoll_ctl);
int wrap_epoll_wait(int set, ::epoll_event* events, int count, int limit) TFTP_WRAP(epoll_wait);
int wrap_open(const char* path, int flags, ...) TFTP_WRAP(open);
int wrap_openat(int directory, const char* path, int flags, ...) TFTP_WRAP(openat);
int wrap_openat_2(int directory, const char* path, int flags) TFTP_WRAP(__openat_2);
long wrap_syscall(long number, ...) TFTP_WRAP(syscall);
int wrap_close(int fd) TFTP_WRAP(close);
ssize_t wrap_preadv(int fd, const ::iovec* vectors, int count, ::off_t at) TFTP_WRAP(preadv);
ssize_t wrap_preadv2(int fd, const ::iovec* vectors, int count, ::off_t at, int flags)
    TFTP_WRAP(preadv2);
ssize_t wrap_pwritev(int fd, const ::iovec* vectors, int count, ::off_t at) TFTP_WRAP(pwritev);
int wrap_fallocate(int fd, int mode, ::off_t at, ::off_t size) TFTP_WRAP(fallocate);
int wrap_ftruncate(int fd, ::off_t size) TFTP_WRAP(ftruncate);
int wrap_fsync(int fd) TFTP_WRAP(fsync);
int wrap_fstat(int fd, struct ::stat* about) TFTP_WRAP(fstat);
int wrap_fstatat(int directory, const char* path, struct ::stat* about, int flags)
    TFTP_WRAP(fstatat);
int wrap_fstatfs(int fd, struct ::statfs* about) TFTP_WRAP(fstatfs);
int wrap_fstatvfs(int fd, struct ::statvfs* about) TFTP_WRAP(fstatvfs);
int wrap_faccessat(int directory, const char* path, int mode, int flags) TFTP_WRAP(faccessat);
int wrap_fchmod(int fd, ::mode_t mode) TFTP_WRAP(fchmod);
int wrap_linkat(int from, const char* old, int to, const char* name, int flags) TFTP_WRAP(linkat);
int wrap_renameat2(int from, const char* old, int to, const char* name, unsigned flags)
    TFTP_WRAP(renameat2);
int wrap_unlinkat(int directory, const char* path, int flags) TFTP_WRAP(unlinkat);
int wrap_stat(const char* path, struct ::stat* about) TFTP_WRAP(stat);
char* wrap_realpath(const char* path, char* resolved) TFTP_WRAP(realpath);
int wrap_clock_gettime(::clockid_t id, ::timespec* now) TFTP_WRAP(clock_gettime);
int wrap_clock_nanosleep(::clockid_t id, int flags, const ::timespec* span, ::timespec* left)
    TFTP_WRAP(clock_nanosleep);
int wrap_nanosleep(const ::timespec* span, ::timespec* left) TFTP_WRAP(nanosleep);

int wrap_socket(int domain, int type, int protocol) {
    return socket_fails("socket", {EMFILE, ENOBUFS, ENOMEM}) ? -1
                                                             : real_socket(domain, type, protocol);
}

int wrap_bind(int fd, const ::sockaddr* address, ::socklen_t size) {
    return socket_fails("bind", {EADDRINUSE, ENOMEM, EPERM}) ? -1 : real_bind(fd, address, size);
}

int wrap_connect(int fd, const ::sockaddr* address, ::socklen_t size) {
    return socket_fails("connect", {ENETUNREACH, EPERM, EAGAIN}) ? -1
                                                                 : real_connect(fd, address, size);
}

int wrap_getsockname(int fd, ::sockaddr* address, ::socklen_t* size) {
    return socket_fails("getsockname", {ENOBUFS}) ? -1 : real_getsockname(fd, address, size);
}

int wrap_setsockopt(int fd, int level, int name, const void* value, ::socklen_t size) {
    return socket_fails("setsockopt", {ENOMEM, EPERM, ENOBUFS})
               ? -1
               : real_setsockopt(fd, level, name, value, size);
}

int wrap_getsockopt(int fd, int level, int name, void* value, ::socklen_t* size) {
    return socket_fails("getsockopt", {ENOBUFS, EPERM})
               ? -1
               : real_getsockopt(fd, level, name, value, size);
}

ssize_t wrap_sendmsg(int fd, const ::msghdr* message, int flags) {
    return socket_fails("sendmsg", {EAGAIN, ENOBUFS, EINTR, EPERM, EIO, ENOMEM})
               ? -1
               : real_sendmsg(fd, message, flags);
}

int wrap_sendmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags) {
    return socket_fails("sendmmsg", {EAGAIN, ENOBUFS, EINTR, EPERM, EIO, ENOMEM})
               ? -1
               : real_sendmmsg(fd, messages, count, flags);
}

ssize_t wrap_sendto(
    int fd, const void* octets, std::size_t size, int flags, const ::sockaddr* to, ::socklen_t of
) {
    return socket_fails("sendto", {EAGAIN, ENOBUFS, EINTR, EPERM, EIO, ENOMEM})
               ? -1
               : real_sendto(fd, octets, size, flags, to, of);
}

ssize_t wrap_recvfrom(
    int fd, void* octets, std::size_t size, int flags, ::sockaddr* from, ::socklen_t* of
) {
    return socket_fails("recvfrom", {EAGAIN, EINTR, ENOMEM, EIO})
               ? -1
               : real_recvfrom(fd, octets, size, flags, from, of);
}

ssize_t wrap_recvmsg(int fd, ::msghdr* message, int flags) {
    return socket_fails("recvmsg", {EAGAIN, EINTR, ENOMEM, EIO}) ? -1
                                                                 : real_recvmsg(fd, message, flags);
}

int wrap_recvmmsg(int fd, ::mmsghdr* messages, unsigned count, int flags, ::timespec* limit) {
    return socket_fails("recvmmsg", {EAGAIN, EINTR, ENOMEM, EIO})
               ? -1
               : real_recvmmsg(fd, messages, count, flags, limit);
}

int wrap_eventfd(unsigned count, int flags) {
    return socket_fails("eventfd", {EMFILE, ENOMEM}) ? -1 : real_eventfd(count, flags);
}

int wrap_epoll_create1(int flags) {
    return socket_fails("epoll_create1", {EMFILE, ENOMEM}) ? -1 : real_epoll_create1(flags);
}

int wrap_epoll_ctl(int set, int what, int fd, ::epoll_event* event) {
    // Taking a descriptor out of the set needs nothing that could be missing.
    return what != EPOLL_CTL_DEL && socket_fails("epoll_ctl", {ENOMEM, ENOSPC})
               ? -1
               : real_epoll_ctl(set, what, fd, event);
}

int wrap_epoll_wait(int set, ::epoll_event* events, int count, int limit) {
    return socket_fails("epoll_wait", {EINTR}) ? -1 : real_epoll_wait(set, events, count, limit);
}

int wrap_open(const char* path, int flags, ...) {
    std::va_list rest;
    va_start(rest, flags);
    const auto mode = static_cast<::mode_t>(va_arg(rest, unsigned));
    va_end(rest);
    return file_fails("open", {EMFILE, EIO, ENOMEM}) ? -1 : real_open(path, flags, mode);
}

int wrap_openat(int directory, const char* path, int flags, ...) {
    std::va_list rest;
    va_start(rest, flags);
    const auto mode = static_cast<::mode_t>(va_arg(rest, unsigned));
    va_end(rest);
    return file_fails("openat", {EMFILE, ENOSPC, EIO}) ? -1
                                                       : real_openat(directory, path, flags, mode);
}

int wrap_openat_2(int directory, const char* path, int flags) {
    return file_fails("openat", {EMFILE, ENOSPC, EIO}) ? -1 : real_openat_2(directory, path, flags);
}

long wrap_syscall(long number, ...) {
    std::va_list rest;
    va_start(rest, number);
    const long first = va_arg(rest, long);
    const long second = va_arg(rest, long);
    const long third = va_arg(rest, long);
    const long fourth = va_arg(rest, long);
    va_end(rest);
    // The one call that goes this way is openat2.
    return file_fails("openat2", {EMFILE, EIO, EINTR, ENOSYS, EAGAIN})
               ? -1
               : real_syscall(number, first, second, third, fourth);
}

int wrap_close(int fd) {
    // The descriptor is gone whatever close says.
    const int closed = real_close(fd);
    return file_fails("close", {EIO, EINTR, ENOSPC}) ? -1 : closed;
}

ssize_t wrap_preadv(int fd, const ::iovec* vectors, int count, ::off_t at) {
    return moves("preadv", vectors, count, {EIO, EINTR, less}, [=](const ::iovec* v, int n) {
        return real_preadv(fd, v, n, at);
    });
}

ssize_t wrap_preadv2(int fd, const ::iovec* vectors, int count, ::off_t at, int flags) {
    return moves(
        "preadv2",
        vectors,
        count,
        {EIO, EINTR, less, EOPNOTSUPP, EAGAIN},
        [=](const ::iovec* v, int n) { return real_preadv2(fd, v, n, at, flags); }
    );
}

ssize_t wrap_pwritev(int fd, const ::iovec* vectors, int count, ::off_t at) {
    return moves(
        "pwritev",
        vectors,
        count,
        {ENOSPC, EINTR, less, EDQUOT, EIO},
        [=](const ::iovec* v, int n) { return real_pwritev(fd, v, n, at); }
    );
}

int wrap_fallocate(int fd, int mode, ::off_t at, ::off_t size) {
    return file_fails("fallocate", {ENOSPC, EINTR, EOPNOTSUPP, EDQUOT, EIO})
               ? -1
               : real_fallocate(fd, mode, at, size);
}

int wrap_ftruncate(int fd, ::off_t size) {
    return file_fails("ftruncate", {EIO, EINTR}) ? -1 : real_ftruncate(fd, size);
}

int wrap_fsync(int fd) {
    return file_fails("fsync", {EIO, EINTR, ENOSPC, EDQUOT}) ? -1 : real_fsync(fd);
}

int wrap_fstat(int fd, struct ::stat* about) {
    return file_fails("fstat", {EIO, ENOMEM}) ? -1 : real_fstat(fd, about);
}

int wrap_fstatat(int directory, const char* path, struct ::stat* about, int flags) {
    return file_fails("fstatat", {EIO, ENOMEM}) ? -1 : real_fstatat(directory, path, about, flags);
}

int wrap_fstatfs(int fd, struct ::statfs* about) {
    if (file_fails("fstatfs", {EIO, EINTR, ENOSYS})) {
        return -1;
    }
    const int outcome = real_fstatfs(fd, about);
    if (outcome == 0 && tftp::test::remote_disks) {
        about->f_type = NFS_SUPER_MAGIC;
    }
    return outcome;
}

int wrap_fstatvfs(int fd, struct ::statvfs* about) {
    return file_fails("fstatvfs", {EIO, EINTR, ENOSYS}) ? -1 : real_fstatvfs(fd, about);
}

int wrap_faccessat(int directory, const char* path, int mode, int flags) {
    return file_fails("faccessat", {EIO, ENOMEM}) ? -1
                                                  : real_faccessat(directory, path, mode, flags);
}

int wrap_fchmod(int fd, ::mode_t mode) {
    return file_fails("fchmod", {EIO, EPERM}) ? -1 : real_fchmod(fd, mode);
}

int wrap_linkat(int from, const char* old, int to, const char* name, int flags) {
    return file_fails("linkat", {ENOSPC, EIO, EDQUOT, ENOENT})
               ? -1
               : real_linkat(from, old, to, name, flags);
}

int wrap_renameat2(int from, const char* old, int to, const char* name, unsigned flags) {
    return file_fails("renameat2", {ENOSPC, EIO, EDQUOT})
               ? -1
               : real_renameat2(from, old, to, name, flags);
}

int wrap_unlinkat(int directory, const char* path, int flags) {
    return file_fails("unlinkat", {EIO}) ? -1 : real_unlinkat(directory, path, flags);
}

int wrap_stat(const char* path, struct ::stat* about) {
    return file_fails("stat", {EIO, ENOMEM}) ? -1 : real_stat(path, about);
}

char* wrap_realpath(const char* path, char* resolved) {
    return file_fails("realpath", {EIO, ENOMEM}) ? nullptr : real_realpath(path, resolved);
}

int wrap_clock_gettime(::clockid_t id, ::timespec* now) {
    const int failed = real_clock_gettime(id, now);
    if (failed == 0 && id == CLOCK_REALTIME_COARSE) {
        const auto moved =
            std::chrono::seconds(now->tv_sec) + std::chrono::nanoseconds(now->tv_nsec) + slept;
        const auto seconds = std::chrono::floor<std::chrono::seconds>(moved);
        *now = {seconds.count(), (moved - seconds).count()};
    }
    return failed;
}

int wrap_clock_nanosleep(::clockid_t /*id*/, int /*flags*/, const ::timespec* span, ::timespec*) {
    return wrap_nanosleep(span, nullptr);
}

int wrap_nanosleep(const ::timespec* span, ::timespec* /*left*/) {
    slept += std::chrono::seconds(span->tv_sec) + std::chrono::nanoseconds(span->tv_nsec);
    return 0;
}

} // extern "C"

// std::chrono::steady_clock::now()
std::chrono::steady_clock::time_point real_steady_now() noexcept
    TFTP_REAL(_ZNSt6chrono3_V212steady_clock3nowEv);
std::chrono::steady_clock::time_point wrap_steady_now() noexcept
    TFTP_WRAP(_ZNSt6chrono3_V212steady_clock3nowEv);

std::chrono::steady_clock::time_point wrap_steady_now() noexcept {
    return real_steady_now() + slept;
}

// Replaced for all that is linked into this program: every form, as the sanitizers have all of
// them.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    return chosen("operator new", fault_family::memory, {ENOMEM})
               ? nullptr
               : std::malloc(std::max<std::size_t>(size, 1));
}

void* operator new(std::size_t size) {
    void* const memory = ::operator new(size, std::nothrow);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

void* operator new[](std::size_t size) {
    return ::operator new(size);
}

void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
    return ::operator new(size, tag);
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept {
    std::free(memory);
}

void operator delete[](void* memory) noexcept {
    std::free(memory);
}

void operator delete[](void* memory, std::size_t /*size*/) noexcept {
    std::free(memory);
}
