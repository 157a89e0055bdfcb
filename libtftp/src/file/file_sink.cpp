#include "base/iovec.hpp"
#include "file/attributes.hpp"
#include "file/beneath.hpp"
#include "file/in_place.hpp"
#include "file/remove_own.hpp"
#include "file/replacement.hpp"
#include "file/storage.hpp"
#include "file/temporary_file.hpp"
#include "file/upload_plan.hpp"
#include "file/upload_target.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/name_policy.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp {

namespace {

/// Others can take or remove the name each time; a bound keeps that from being a loop.
constexpr int attempts_max = 16;

/// How long the holder of a lease on a file has to give it up.
constexpr auto lease_patience = std::chrono::seconds(1);
constexpr auto lease_interval = std::chrono::milliseconds(10);

error_code check(int outcome) noexcept {
    return outcome < 0 ? last_error() : error_code();
}

bool is_same_file(const struct ::stat& one, const struct ::stat& other) noexcept {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/// Space is taken in steps of at least so much, in bytes, as each costs a call.
constexpr std::uint64_t allocation_step_min = std::uint64_t{1} << 20;

/// Returns true for what says that a directory takes no file of this process.
bool means_unwritable(const error_code& error) noexcept {
    return error.value() == EACCES || error.value() == EPERM || error.value() == EROFS;
}

/// Returns true when another way may do what failed: a right is missing, or the file system, the
/// kernel or a filter does not know the call. False for a disk or a memory that fails.
bool is_refusal(const error_code& error) noexcept {
    return error.value() != EIO && error.value() != ENOMEM;
}

/// Returns true for what rename(2) says of names that cannot be given to another file.
bool means_no_rename(const error_code& error) noexcept {
    return means_unwritable(error) || error.value() == EBUSY || error.value() == EXDEV;
}

template <class Call>
int uninterrupted(Call&& call) noexcept {
    int outcome = 0;
    do {
        outcome = call();
    } while (outcome < 0 && errno == EINTR);
    return outcome;
}

} // namespace

beneath_options resolution_of(const file_target& target) noexcept {
    beneath_options how;
    how.links = target.links;
    how.force_walk = target.force_walk;
    how.same_mount = target.same_mount;
    if (target.link_targets) {
        how.targets = *target.link_targets;
    }
    return how;
}

beneath_options resolution_of_link(const file_target& target) noexcept {
    beneath_options how = resolution_of(target);
    how.same_mount = false;
    return how;
}

result<unique_fd> open_parent(const file_target& target, bool patient) noexcept {
    try {
        const std::size_t end = target.path.rfind('/');
        const std::string parent = end == std::string::npos ? "." : target.path.substr(0, end);
        beneath_options how = resolution_of(target);
        how.patient = patient;
        return open_beneath(target.directory->get(), parent.c_str(), O_PATH | O_DIRECTORY, how);
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
    content_.reset();
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
    const result<upload_plan> plan = plan_upload(directory.value().get(), target_, options_);
    if (!plan) {
        return plan.error();
    }
    if (const error_code full = check_room(directory.value().get(), *plan, options_, size_bytes)) {
        return full;
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
            return ::pwritev(content_->fd(), vectors, count, static_cast<::off_t>(at));
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
    error_code failed = open_temporary();
    if (!failed && announced_ != 0) {
        // Others may have taken the room since the request.
        failed = check_room(content_->fd(), announced_);
    }
    if (failed) {
        content_.reset();
    }
    return failed;
}

error_code file_sink::open_temporary() noexcept {
    content_.reset(new (std::nothrow) temporary_file);
    if (!content_) {
        return system_error_code(ENOMEM);
    }
    const error_code failed = content_->open(directory_.get());
    if (!means_unwritable(failed) || !options_.spool) {
        return failed;
    }
    const result<upload_plan> plan = plan_upload(directory_.get(), target_, options_);
    if (!plan || plan->how != upload_plan::way::in_place) {
        return plan ? failed : plan.error();
    }
    spooled_ = true;
    return content_->open_nameless(options_.spool->get());
}

error_code file_sink::allocate(std::uint64_t needed) noexcept {
    if (needed <= allocated_ || needed > announced_) {
        return {};
    }
    // In memory it takes the pages and clears them: there space is found, or not, block by block.
    if (storage_of(content_->fd()) == storage::memory) {
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
                content_->fd(),
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
    if (const error_code failed = trim()) {
        return failed;
    }
    release_claim(written_);
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        if (const error_code moved = find_place_again()) {
            return moved;
        }
        const result<upload_plan> plan = plan_upload(directory_.get(), target_, options_);
        if (!plan) {
            return plan.error();
        }
        const error_code failed = publish(*plan);
        // A file took the name meanwhile, or lost it: what is there now decides.
        const bool creates = plan->how == upload_plan::way::create;
        const bool raced = failed == system_error_code(creates ? EEXIST : ENOENT) &&
                           options_.existing != overwrite::deny;
        if (!raced || (creates && spooled_)) {
            return failed;
        }
    }
    return system_error_code(EBUSY);
}

error_code file_sink::publish(const upload_plan& plan) noexcept {
    if (spooled_ || plan.how == upload_plan::way::in_place) {
        // What lies in another directory can only be copied.
        return plan.file ? write_over(plan) : system_error_code(ENOENT);
    }
    replaced_ = plan.how == upload_plan::way::rename;
    if (const error_code failed = replaced_ ? replace(plan) : create()) {
        return failed;
    }
    if (!content_) {
        return {}; // it was copied
    }
    const error_code failed = options_.fsync ? flush_directory() : error_code();
    if (failed && !replaced_ && has_name(base_name(target_))) {
        // Not promised, not shown. What was replaced cannot be brought back.
        struct ::stat own = {};
        if (::fstat(content_->fd(), &own) == 0) {
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
    return ::fstat(content_->fd(), &own) == 0 &&
           ::fstatat(directory_.get(), name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_same_file(own, named);
}

error_code file_sink::trim() noexcept {
    // Gives back what was allocated for an announced size that did not come; in the spool directory
    // all of it goes soon.
    if (announced_ <= written_ || spooled_) {
        return {};
    }
    return check(uninterrupted([this] {
        return ::ftruncate(content_->fd(), static_cast<::off_t>(written_));
    }));
}

error_code file_sink::flush_content() noexcept {
    return options_.fsync ? check(uninterrupted([this] { return ::fsync(content_->fd()); }))
                          : error_code();
}

error_code file_sink::find_place_again() const noexcept {
    const result<unique_fd> now = open_parent(target_, true);
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

result<unique_fd> file_sink::open_old(const upload_plan& plan, int flags) const noexcept {
    flags |= O_NONBLOCK | O_NOCTTY;
    const auto once = [&]() -> result<unique_fd> {
        if (plan.link) {
            beneath_options how = resolution_of_link(target_);
            how.patient = true;
            return open_beneath(target_.directory->get(), target_.path.c_str(), flags, how);
        }
        const int also = flags | O_NOFOLLOW | O_CLOEXEC;
        unique_fd old(::openat(directory_.get(), base_name(target_), also));
        return old ? result<unique_fd>(std::move(old)) : last_error();
    };
    const auto end = std::chrono::steady_clock::now() + lease_patience;
    result<unique_fd> old = once();
    const error_code leased = system_error_code(EWOULDBLOCK);
    while (!old && old.error() == leased && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(lease_interval);
        old = once();
    }
    if (!old && old.error() == leased) {
        return make_error_code(errc::held);
    }
    return old;
}

error_code file_sink::create() noexcept {
    if (options_.permissions && ::fchmod(content_->fd(), *options_.permissions) != 0) {
        return last_error();
    }
    if (const error_code failed = flush_content()) {
        return failed;
    }
    const char* const name = base_name(target_);
    return content_->is_hidden() ? content_->rename_to(name, false) : content_->link_to(name);
}

error_code file_sink::replace(const upload_plan& plan) noexcept {
    const bool may_copy = options_.method == upload_method::automatic;
    result<unique_fd> old = open_old(plan, O_RDONLY);
    if (!old && old.error().value() == EACCES) {
        old = open_old(plan, O_WRONLY);
    }
    if (!old) {
        return old.error();
    }
    const kept_attributes kept = copy_attributes(old->get(), content_->fd());
    if (!kept.all() && may_copy && is_refusal(kept.others)) {
        return write_over(plan);
    }
    if (kept.others) {
        return kept.others;
    }
    old->reset();
    if (const error_code failed = flush_content()) {
        return failed;
    }
    if (!content_->is_hidden()) {
        if (const error_code failed = content_->link_hidden()) {
            return failed;
        }
    }
    const char* const name = base_name(target_);
    const bool plain = options_.existing == overwrite::replace && !options_.ledger;
    const error_code failed = plain ? content_->rename_to(name, true) : replace_in_turn(name);
    return may_copy && means_no_rename(failed) ? write_over(plan) : failed;
}

error_code file_sink::take_turn(std::unique_lock<std::mutex>& turn) const noexcept {
    if (options_.ledger) {
        struct ::stat about = {};
        if (::fstat(directory_.get(), &about) != 0) {
            return last_error();
        }
        turn = options_.ledger->lock_replacement(about.st_dev);
    }
    return {};
}

error_code file_sink::replace_in_turn(const char* name) noexcept {
    std::unique_lock<std::mutex> turn;
    if (const error_code failed = take_turn(turn)) {
        return failed;
    }
    replacement old(
        directory_.get(), name, options_.existing == overwrite::keep ? options_.versions_max : 0
    );
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        error_code failed = old.set_aside();
        const bool absent = failed.value() == ENOENT;
        if (failed && !absent) {
            return failed;
        }
        failed = content_->rename_to(name, !absent);
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

error_code file_sink::write_over(const upload_plan& plan) noexcept {
    // The lock of the file ends when that is closed, and the turn after it.
    std::unique_lock<std::mutex> turn;
    in_place_turn alone;
    const bool keeps = options_.existing == overwrite::keep;
    const result<unique_fd> old = open_old(plan, keeps ? O_RDWR : O_WRONLY);
    if (!old) {
        return old.error();
    }
    if (const error_code failed = take_turn(turn)) {
        return failed;
    }
    if (const error_code held = alone.take(old->get())) {
        return held;
    }
    return write_over_in_turn(old->get());
}

error_code file_sink::write_over_in_turn(int old) noexcept {
    const bool keeps = options_.existing == overwrite::keep;
    struct ::stat about = {};
    if (::fstat(old, &about) != 0) {
        return last_error();
    }
    if (!S_ISREG(about.st_mode)) {
        return errc::not_regular;
    }
    replacement versions(directory_.get(), base_name(target_), keeps ? options_.versions_max : 0);
    if (keeps) {
        error_code failed = versions.copy_aside(old, about, options_.fsync);
        if (!failed && options_.fsync) {
            failed = flush_directory();
        }
        if (failed) {
            versions.undo();
            return failed;
        }
    }
    const in_place_outcome outcome = write_in_place(content_->fd(), written_, old);
    if (outcome.failed && !outcome.touched) {
        versions.undo();
        return outcome.failed;
    }
    const auto old_size = static_cast<std::uint64_t>(about.st_size);
    const std::uint64_t freed = outcome.failed ? 0 : versions.finish();
    if (options_.ledger && (!outcome.failed || written_ > old_size)) {
        // The file is counted from here on, not the upload; the old content only as a version.
        options_.ledger->release((keeps ? 0 : old_size) + freed);
        claimed_ = 0;
    }
    if (outcome.failed) {
        return outcome.failed; // a version is all that is left of the old content
    }
    const error_code failed =
        options_.fsync ? check(uninterrupted([old] { return ::fsync(old); })) : error_code();
    content_.reset();
    return failed;
}

error_code file_sink::flush_directory() noexcept {
    const unique_fd directory(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) {
        return check(uninterrupted([&directory] { return ::fsync(directory.get()); }));
    }
    // A directory that may be written but not read (a drop box): flush its file system.
    return errno == EACCES ? check(::syncfs(content_->fd())) : last_error();
}

} // namespace tftp
