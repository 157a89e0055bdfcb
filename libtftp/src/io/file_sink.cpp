#include "beneath.hpp"
#include "remove_own.hpp"
#include "replacement.hpp"
#include "storage.hpp"
#include "target.hpp"
#include "vectors.hpp"

#include <tftp/io/file_sink.hpp>
#include <tftp/io/name_policy.hpp>
#include <tftp/wire/assert.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tftp::io {

namespace {

constexpr ::mode_t mode_before_umask = 0666;

/// Random names collide only by malice; a bound keeps even that from being a loop.
constexpr int name_attempts_max = 16;

error_code check(int outcome) noexcept {
    return outcome < 0 ? last_error() : error_code();
}

bool is_same_file(const struct ::stat& one, const struct ::stat& other) noexcept {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/// Space is taken in steps of at least so much, in bytes, as each costs a call.
constexpr std::uint64_t allocation_step_min = std::uint64_t{1} << 20;

template <class Call>
int uninterrupted(Call&& call) noexcept {
    int outcome = 0;
    do {
        outcome = call();
    } while (outcome < 0 && errno == EINTR);
    return outcome;
}

} // namespace

result<unique_fd> open_parent(const file_target& target) noexcept {
    try {
        const std::size_t end = target.path.rfind('/');
        const std::string parent = end == std::string::npos ? "." : target.path.substr(0, end);
        return open_beneath(
            target.directory->get(),
            parent.c_str(),
            O_PATH | O_DIRECTORY,
            {target.follow_links, false, target.force_walk, target.same_mount}
        );
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

const char* base_name(const file_target& target) noexcept {
    const std::size_t end = target.path.rfind('/');
    return target.path.c_str() + (end == std::string::npos ? 0 : end + 1);
}

file_sink::file_sink(file_target target, file_sink_options options) noexcept
    : target_(std::move(target)), options_(std::move(options)) {}

file_sink::~file_sink() {
    discard_name();
    release_claim(0);
}

error_code file_sink::reserve(std::uint64_t size_bytes) noexcept {
    if (announced_ != 0 && size_bytes == announced_) {
        return {}; // said twice: with the request, and when it is settled
    }
    if (options_.size_max_bytes != 0 && size_bytes > options_.size_max_bytes) {
        return errc::too_large;
    }
    if (options_.ledger && !options_.ledger->has_room(size_bytes)) {
        return system_error_code(EDQUOT);
    }
    const result<unique_fd> directory = open_parent(target_);
    if (!directory) {
        return directory.error();
    }
    struct ::statvfs about = {};
    // Some file systems report no sizes at all.
    if (::fstatvfs(directory.value().get(), &about) == 0 && about.f_blocks != 0 &&
        size_bytes / about.f_frsize >= about.f_bavail &&
        size_bytes > about.f_bavail * about.f_frsize) {
        return system_error_code(ENOSPC);
    }
    announced_ = size_bytes;
    return {};
}

error_code file_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    TFTP_ASSERT(offset == written_);
    const std::size_t total = total_size(payloads);
    if (options_.size_max_bytes != 0 && total > options_.size_max_bytes - written_) {
        return errc::too_large;
    }
    if (const error_code refused = claim(std::max(announced_, written_ + total))) {
        return refused;
    }
    if (const error_code failed = ensure_temporary()) {
        return failed;
    }
    if (const error_code failed = allocate(written_ + total)) {
        return failed;
    }
    const result<std::size_t> stored = transfer_all(
        payloads,
        offset,
        total,
        [this](const ::iovec* vectors, int count, std::uint64_t at) {
            return ::pwritev(content_.get(), vectors, count, static_cast<::off_t>(at));
        }
    );
    if (!stored) {
        return stored.error();
    }
    if (*stored < total) {
        return system_error_code(EIO);
    }
    written_ += total;
    return {};
}

error_code file_sink::claim(std::uint64_t size_bytes) noexcept {
    if (!options_.ledger || size_bytes <= claimed_) {
        return {};
    }
    const error_code refused = options_.ledger->claim(size_bytes - claimed_);
    if (!refused) {
        claimed_ = size_bytes;
    }
    return refused;
}

void file_sink::release_claim(std::uint64_t kept_bytes) noexcept {
    if (claimed_ > kept_bytes) {
        options_.ledger->release(claimed_ - kept_bytes);
        claimed_ = kept_bytes;
    }
}

error_code file_sink::ensure_temporary() noexcept {
    if (content_) {
        return {};
    }
    result<unique_fd> directory = open_parent(target_);
    if (!directory) {
        return directory.error();
    }
    directory_ = std::move(directory).value();
    content_.reset(uninterrupted([this] {
        return ::openat(directory_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode_before_umask);
    }));
    if (!content_) {
        // What file systems, kernels and filters without it answer.
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) {
            return last_error();
        }
        if (const error_code failed = open_named_temporary()) {
            return failed;
        }
    }
    return {};
}

error_code file_sink::open_named_temporary() noexcept {
    for (int attempt = 0; attempt < name_attempts_max; ++attempt) {
        make_temporary_name();
        content_.reset(uninterrupted([this] {
            return ::openat(
                directory_.get(),
                temporary_.data(),
                O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC,
                mode_before_umask
            );
        }));
        if (content_) {
            return {};
        }
        const error_code failed = last_error();
        temporary_.front() = '\0';
        if (failed.value() != EEXIST) {
            return failed;
        }
    }
    return system_error_code(EEXIST);
}

void file_sink::make_temporary_name() noexcept {
    std::array<unsigned char, 8> random{};
    // Without entropy yet (early boot) the name is the same each time, and O_EXCL does the rest.
    [[maybe_unused]] const ::ssize_t got = ::getrandom(random.data(), random.size(), GRND_NONBLOCK);
    char* to = std::copy(temporary_prefix.begin(), temporary_prefix.end(), temporary_.data());
    for (const unsigned octet : random) {
        constexpr std::string_view digits = "0123456789abcdef";
        *to++ = digits[octet >> 4U];
        *to++ = digits[octet & 0xFU];
    }
    *to = '\0';
}

error_code file_sink::allocate(std::uint64_t needed) noexcept {
    if (needed <= allocated_ || needed > announced_) {
        return {};
    }
    // In memory it takes the pages and clears them: there space is found, or not, block by block.
    if (storage_of(content_.get()) == storage::memory) {
        allocated_ = announced_;
        return {};
    }
    // No more than what has come once more: an announcement alone takes nobody's space.
    const std::uint64_t ahead = std::clamp(needed, allocation_step_min, allocated_ahead_max);
    const std::uint64_t begin = allocated_;
    allocated_ = std::min(announced_, needed + ahead);
    // The size stays as it is: only what was written ever counts.
    if (uninterrupted([this, begin] {
            return ::fallocate(
                content_.get(),
                FALLOC_FL_KEEP_SIZE,
                static_cast<::off_t>(begin),
                static_cast<::off_t>(allocated_ - begin)
            );
        }) == 0) {
        return {};
    }
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return last_error();
    default: // not on this file system: space is found, or not, block by block
        allocated_ = announced_;
        return {};
    }
}

error_code file_sink::commit() noexcept {
    if (const error_code failed = ensure_temporary()) {
        return failed;
    }
    if (const error_code failed = settle_content()) {
        return failed;
    }
    if (const error_code moved = find_place_again()) {
        return moved;
    }
    if (const error_code failed = take_name()) {
        return failed;
    }
    const error_code failed = options_.fsync ? flush_directory() : error_code();
    if (failed && !replaced_ && has_name(base_name(target_))) {
        // Not promised, not shown. What was replaced cannot be brought back.
        struct ::stat own = {};
        if (::fstat(content_.get(), &own) == 0) {
            remove_own(directory_.get(), base_name(target_), own);
        }
        return failed;
    }
    // The file is counted from here on, not the upload.
    claimed_ = 0;
    return failed;
}

bool file_sink::has_name(const char* name) const noexcept {
    struct ::stat own = {};
    struct ::stat named = {};
    return ::fstat(content_.get(), &own) == 0 &&
           ::fstatat(directory_.get(), name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_same_file(own, named);
}

error_code file_sink::settle_content() noexcept {
    // Gives back what was allocated for an announced size that did not come.
    if (announced_ > written_ &&
        uninterrupted([this] { return ::ftruncate(content_.get(), static_cast<::off_t>(written_)); }
        ) < 0) {
        return last_error();
    }
    release_claim(written_);
    std::optional<::mode_t> permissions = options_.permissions;
    struct ::stat old = {};
    if (options_.existing != overwrite::deny &&
        ::fstatat(directory_.get(), base_name(target_), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(old.st_mode)) {
        permissions = old.st_mode & ACCESSPERMS;
        replaced_ = true;
    }
    if (permissions && ::fchmod(content_.get(), *permissions) != 0) {
        return last_error();
    }
    return options_.fsync ? check(uninterrupted([this] { return ::fsync(content_.get()); }))
                          : error_code();
}

error_code file_sink::find_place_again() const noexcept {
    const result<unique_fd> now = open_parent(target_);
    if (!now) {
        return now.error();
    }
    struct ::stat here = {};
    struct ::stat there = {};
    if (::fstat(directory_.get(), &here) != 0 || ::fstat(now.value().get(), &there) != 0) {
        return last_error();
    }
    return is_same_file(here, there) ? error_code() : system_error_code(ENOENT);
}

error_code file_sink::link_to(const char* name) noexcept {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", content_.get());
    if (::linkat(AT_FDCWD, path.data(), directory_.get(), name, AT_SYMLINK_FOLLOW) == 0) {
        return {};
    }
    if (errno != ENOENT) {
        return last_error();
    }
    // No /proc here. Needs CAP_DAC_READ_SEARCH before Linux 6.10.
    return check(::linkat(content_.get(), "", directory_.get(), name, AT_EMPTY_PATH));
}

error_code file_sink::link_hidden() noexcept {
    error_code failed;
    for (int attempt = 0; attempt < name_attempts_max; ++attempt) {
        make_temporary_name();
        failed = link_to(temporary_.data());
        if (!failed) {
            return {};
        }
        temporary_.front() = '\0';
        if (failed.value() != EEXIST) {
            break;
        }
    }
    return failed;
}

error_code file_sink::take_name() noexcept {
    const char* const name = base_name(target_);
    const bool unnamed = temporary_.front() == '\0';
    const bool replace = options_.existing != overwrite::deny;
    if (unnamed || !replace) {
        const error_code failed = unnamed ? link_to(name) : rename_hidden(name, false);
        if (failed.value() != EEXIST || !replace) {
            return failed;
        }
        if (const error_code hidden = link_hidden()) {
            return hidden;
        }
        replaced_ = true;
    }
    const bool plain = options_.existing == overwrite::replace && !options_.ledger;
    return plain ? rename_hidden(name, true) : replace_in_turn(name);
}

error_code file_sink::replace_in_turn(const char* name) noexcept {
    std::unique_lock<std::mutex> turn;
    if (options_.ledger) {
        struct ::stat about = {};
        if (::fstat(directory_.get(), &about) != 0) {
            return last_error();
        }
        turn = options_.ledger->turn(about.st_dev);
    }
    replacement old(
        directory_.get(), name, options_.existing == overwrite::keep ? options_.versions_max : 0
    );
    for (int attempt = 0; attempt < name_attempts_max; ++attempt) {
        error_code failed = old.set_aside();
        const bool absent = failed.value() == ENOENT;
        if (failed && !absent) {
            return failed;
        }
        failed = rename_hidden(name, !absent);
        if (!failed) {
            const std::uint64_t freed = old.finish();
            if (options_.ledger) {
                options_.ledger->release(freed);
            }
            return {};
        }
        if (!absent || failed.value() != EEXIST) {
            old.undo();
            return failed;
        }
        // A new file took the name meanwhile: that one is to be replaced.
    }
    return system_error_code(EBUSY);
}

error_code file_sink::rename_hidden(const char* name, bool replace) noexcept {
    const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    error_code failed =
        check(::renameat2(directory_.get(), temporary_.data(), directory_.get(), name, flags));
    if (!replace && (failed.value() == EINVAL || failed.value() == ENOSYS)) {
        // A file system without RENAME_NOREPLACE: link refuses an existing name as well.
        failed = check(::linkat(directory_.get(), temporary_.data(), directory_.get(), name, 0));
        if (!failed) {
            discard_name();
        }
    }
    if (!failed) {
        temporary_.front() = '\0';
    }
    return failed;
}

void file_sink::discard_name() noexcept {
    if (temporary_.front() != '\0') {
        ::unlinkat(directory_.get(), temporary_.data(), 0);
        temporary_.front() = '\0';
    }
}

error_code file_sink::flush_directory() noexcept {
    const unique_fd directory(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) {
        return check(uninterrupted([&directory] { return ::fsync(directory.get()); }));
    }
    // A directory that may be written but not read (a drop box): flush its file system.
    return errno == EACCES ? check(::syncfs(content_.get())) : last_error();
}

} // namespace tftp::io
