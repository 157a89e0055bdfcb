#include "base/iovec.hpp"
#include "file/storage.hpp"

#include <tftp/file/opened_file.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <new>
#include <time.h>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace tftp {

namespace {

/// Returns true for errors that say "not now" or "not in this way": the blocking read decides.
bool means_blocking(const error_code& error) noexcept {
    switch (error.value()) {
    case EAGAIN:
    case EOPNOTSUPP: // the file system does not know RWF_NOWAIT
    case ENOSYS:     // the kernel, or a filter, does not know preadv2
    case EPERM:
        return true;
    default:
        return false;
    }
}

/// How often something is copied again because the file was renamed or the like meanwhile.
constexpr int copies_max = 8;

/// Returns for how long from now on another change of the file might leave the same time stamp; 0
/// when any change shows. Unsigned arithmetic: a stamp of the future is not a recent one.
std::chrono::nanoseconds unsettled_for(int fd, const file_identity& identity) noexcept {
    using namespace std::chrono_literals;
    constexpr std::int64_t second_ns = 1'000'000'000;
    ::timespec now{};
    if (::clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0) {
        return {};
    }
    const bool whole_seconds = identity.ctime_ns % second_ns == 0;
    // FAT has stamps of 2 s; a tick of the kernel's clock takes 10 ms at most.
    const std::chrono::nanoseconds step = whole_seconds ? 2s : 10ms;
    const std::chrono::nanoseconds age(
        std::int64_t{now.tv_sec} * second_ns + now.tv_nsec - identity.ctime_ns
    );
    if (age >= step || age < -step || (!whole_seconds && has_fine_stamps(fd))) {
        return {};
    }
    return step - age;
}

void wait_for(std::chrono::nanoseconds span) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
    ::timespec left{seconds.count(), (span - seconds).count()};
    while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

} // namespace

opened_file::opened_file(unique_fd fd, const file_identity& identity, ::mode_t permissions) noexcept
    : fd_(std::move(fd)),
      identity_(identity),
      permissions_(permissions),
      ctime_ns_(identity.ctime_ns),
      map_(identity) {
    const storage on = storage_of(fd_.get());
    // They refuse RWF_NOWAIT before Linux 6.6, and do not need it.
    in_memory_ = on == storage::memory;
    remote_ = on == storage::remote;
    // Not even the look after a read may be had there without a wait.
    always_waits_ = remote_;
    static std::atomic<std::uint64_t> serials = 0;
    serial_ = serials.fetch_add(1, std::memory_order_relaxed) + 1;
}

result<std::shared_ptr<const opened_file>>
opened_file::adopt(unique_fd fd, bool may_wait) noexcept {
    struct ::stat about = {};
    std::chrono::nanoseconds waited{};
    for (;;) {
        if (::fstat(fd.get(), &about) != 0) {
            return last_error();
        }
        if (!S_ISREG(about.st_mode)) {
            return make_error_code(errc::not_regular);
        }
        const auto wait = unsettled_for(fd.get(), identity_of(about));
        if (wait.count() == 0) {
            break;
        }
        if (!may_wait) {
            return make_error_code(errc::would_block);
        }
        if (waited >= settle_patience) {
            return make_error_code(errc::source_changed);
        }
        wait_for(wait);
        waited += wait;
    }
    try {
        return std::shared_ptr<const opened_file>(
            new opened_file(std::move(fd), identity_of(about), about.st_mode & 07777)
        );
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

opened_file::fate opened_file::fate_since(std::int64_t before) const noexcept {
    struct ::stat about = {};
    if (::fstat(fd_.get(), &about) != 0) {
        return fate::changed;
    }
    const file_identity now = identity_of(about);
    if (now.size_bytes < size()) {
        return fate::shorter;
    }
    if (now.size_bytes != size() || now.mtime_ns != identity_.mtime_ns) {
        return fate::changed;
    }
    if (now.ctime_ns == before) {
        return fate::same;
    }
    ctime_ns_.store(now.ctime_ns, std::memory_order_relaxed);
    return fate::touched;
}

error_code opened_file::would_block(const error_code& why) const noexcept {
    // What is not in memory now may be next time; who does not know the question never does.
    if (why.value() != EAGAIN) {
        always_waits_.store(true, std::memory_order_relaxed);
    }
    return errc::would_block;
}

bool opened_file::is_untouched() const noexcept {
    return fate_since(identity_.ctime_ns) == fate::same;
}

template <class Copy>
result<std::size_t> opened_file::copy_trusted(Copy&& copy) const noexcept {
    for (int i = 0; i < copies_max; ++i) {
        const std::int64_t before = ctime_ns_.load(std::memory_order_relaxed);
        const result<std::size_t> got = copy();
        if (!got) {
            return got;
        }
        switch (fate_since(before)) {
        case fate::same:
            return got;
        case fate::touched:
            break;
        case fate::changed:
            return make_error_code(errc::source_changed);
        case fate::shorter:
            return make_error_code(errc::source_shrank);
        }
    }
    return make_error_code(errc::source_changed);
}

result<read_outcome> opened_file::read_with(
    std::uint64_t offset, std::span<const ::iovec> gaps, int flags
) const noexcept {
    const std::uint64_t left = size() - std::min(offset, size());
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(total_size(gaps), left));
    if (wanted == 0) {
        return read_outcome{0, left == 0};
    }
    const auto read_at = [&](const ::iovec* vectors, int count, std::uint64_t at) {
        return flags == 0 ? ::preadv(fd_.get(), vectors, count, static_cast<::off_t>(at))
                          : ::preadv2(fd_.get(), vectors, count, static_cast<::off_t>(at), flags);
    };
    const result<std::size_t> got =
        copy_trusted([&] { return transfer_all(gaps, offset, wanted, read_at); });
    if (!got) {
        return got.error();
    }
    if (*got < wanted) {
        return make_error_code(errc::source_shrank);
    }
    return read_outcome{wanted, wanted == left};
}

result<read_outcome>
opened_file::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept {
    if (always_waits_.load(std::memory_order_relaxed)) {
        return make_error_code(errc::would_block);
    }
    result<read_outcome> outcome = read_with(offset, gaps, in_memory_ ? 0 : RWF_NOWAIT);
    if (!outcome && means_blocking(outcome.error())) {
        return would_block(outcome.error());
    }
    return outcome;
}

result<read_outcome>
opened_file::read(std::uint64_t offset, std::span<const ::iovec> gaps) const noexcept {
    return read_with(offset, gaps, 0);
}

result<std::size_t>
opened_file::try_read_some(std::uint64_t offset, bytes_span into) const noexcept {
    const auto wanted = static_cast<std::size_t>(
        std::min<std::uint64_t>(into.size(), size() - std::min(offset, size()))
    );
    if (wanted == 0) {
        return std::size_t{0};
    }
    if (always_waits_.load(std::memory_order_relaxed)) {
        return make_error_code(errc::would_block);
    }
    const ::iovec gap{into.data(), wanted};
    const int flags = in_memory_ ? 0 : RWF_NOWAIT;
    const result<std::size_t> got = copy_trusted([&]() noexcept -> result<std::size_t> {
        ::ssize_t n = 0;
        do {
            n = ::preadv2(fd_.get(), &gap, 1, static_cast<::off_t>(offset), flags);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            return last_error();
        }
        return static_cast<std::size_t>(n);
    });
    if (!got) {
        return means_blocking(got.error()) ? would_block(got.error()) : got.error();
    }
    if (*got == 0) {
        return make_error_code(errc::source_shrank);
    }
    return got;
}

} // namespace tftp
