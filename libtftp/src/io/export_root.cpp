#include "beneath.hpp"
#include "replacement.hpp"
#include "storage.hpp"
#include "target.hpp"
#include "vectors.hpp"

#include <tftp/io/export_root.hpp>
#include <tftp/io/name_policy.hpp>

#include <array>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::io {

namespace {

/// A normalised name with a NUL behind it.
struct plain_name {
    std::array<char, name_octets_max + 1> text;

    [[nodiscard]] static result<plain_name> from(std::string_view requested) noexcept {
        plain_name name{};
        const result<std::size_t> length =
            normalise_name(requested, std::span(name.text).first(name_octets_max));
        if (!length) {
            return length.error();
        }
        name.text[*length] = '\0';
        return name;
    }
};

/// Turns what resolution says about ways out and odd files into what the policy says about them.
error_code refusal_of(const error_code& error) noexcept {
    switch (error.value()) {
    case EXDEV: // a way out of the root
    case ELOOP: // a link that is not followed
        return errc::forbidden;
    case ENXIO: // a socket
    case ENODEV:
        return errc::not_regular;
    case ENOTDIR: // a file where a directory would have to be
        return system_error_code(ENOENT);
    default:
        return error;
    }
}

/// Returns true when a sticky directory lets only the owners of the file and of itself give the
/// name to another file. Root may in any case.
bool is_kept_for_owner(int directory, const struct ::stat& file) noexcept {
    const ::uid_t self = ::geteuid();
    struct ::stat parent = {};
    return self != 0 && self != file.st_uid &&
           ::fstatat(directory, "", &parent, AT_EMPTY_PATH) == 0 &&
           (parent.st_mode & S_ISVTX) != 0 && self != parent.st_uid;
}

} // namespace

export_root::export_root(
    std::shared_ptr<const unique_fd> root,
    std::shared_ptr<upload_ledger> ledger,
    const access_policy& policy,
    lookup how,
    bool remote
) noexcept
    : root_(std::move(root)),
      ledger_(std::move(ledger)),
      policy_(policy),
      how_(how),
      remote_(remote) {}

result<export_root>
export_root::open(const char* directory, const access_policy& policy, lookup how) noexcept {
    unique_fd root(::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return last_error();
    }
    try {
        std::shared_ptr<upload_ledger> ledger;
        if (policy.total_size_max != 0) {
            const result<std::uint64_t> stored = size_beneath(root.get());
            if (!stored) {
                return stored.error();
            }
            ledger = std::make_shared<upload_ledger>(policy.total_size_max, *stored);
        } else if (policy.overwrite == overwrite::keep) {
            ledger = std::make_shared<upload_ledger>(0);
        }
        const bool remote = storage_of(root.get()) == storage::remote;
        return export_root(
            std::make_shared<const unique_fd>(std::move(root)),
            std::move(ledger),
            policy,
            how,
            remote
        );
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

result<std::shared_ptr<const opened_file>> export_root::open_read(std::string_view name
) const noexcept {
    return open_file(name, false);
}

result<std::shared_ptr<const opened_file>> export_root::try_open_read(std::string_view name
) const noexcept {
    // Where another machine answers, open(2) itself may wait, whatever is cached.
    return remote_ ? make_error_code(errc::would_block) : open_file(name, true);
}

bool export_root::leads_to(std::string_view name, const file_identity& file) const noexcept {
    const result<plain_name> plain = plain_name::from(name);
    if (remote_ || !plain) {
        return false;
    }
    // Not by name alone: whatever lies on the way may be a disk that does not answer.
    const result<unique_fd> found = open_beneath(
        root_->get(),
        plain->text.data(),
        O_PATH,
        {policy_.symlinks == symlinks::inside, true, how_ == lookup::walk}
    );
    struct ::stat about = {};
    return found && ::fstat(found->get(), &about) == 0 && identity_of(about) == file;
}

result<std::shared_ptr<const opened_file>>
export_root::open_file(std::string_view name, bool only_cached) const noexcept {
    const result<plain_name> plain = plain_name::from(name);
    if (!plain) {
        return plain.error();
    }
    // O_NONBLOCK: neither a FIFO without writer nor a lease holds the caller up.
    result<unique_fd> fd = open_beneath(
        root_->get(),
        plain->text.data(),
        O_RDONLY | O_NONBLOCK | O_NOCTTY,
        {policy_.symlinks == symlinks::inside, only_cached, how_ == lookup::walk}
    );
    if (!fd) {
        // EXDEV: another file system is mounted there, or the way leads out.
        if (only_cached && (fd.error().value() == EAGAIN || fd.error().value() == EXDEV)) {
            return make_error_code(errc::would_block);
        }
        return refusal_of(fd.error());
    }
    result<std::shared_ptr<const opened_file>> file =
        opened_file::adopt(std::move(fd).value(), !only_cached);
    if (file.has_value() && policy_.require_world_readable &&
        ((*file)->permissions() & S_IROTH) == 0) {
        return make_error_code(errc::forbidden);
    }
    return file;
}

overwrite export_root::overwriting() const noexcept {
    if (policy_.overwrite) {
        return *policy_.overwrite;
    }
    return policy_.writable == writable::existing ? overwrite::replace : overwrite::deny;
}

error_code export_root::check_target(int directory, const char* base) const noexcept {
    const bool keeps = overwriting() == overwrite::keep;
    const std::string_view name(base);
    if (keeps && (is_version_name(name) || name.size() > versioned_name_max)) {
        return errc::bad_name;
    }
    // To keep a file is to link it, which takes both rights (protected_hardlinks in proc(5)).
    const int rights = keeps ? R_OK | W_OK : W_OK;
    struct ::stat about = {};
    if (::fstatat(directory, base, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT || policy_.writable != writable::create) {
            return last_error();
        }
    } else if (!S_ISREG(about.st_mode)) {
        return errc::not_regular;
    } else if (overwriting() == overwrite::deny) {
        return system_error_code(EEXIST);
    } else if (policy_.require_world_writable && (about.st_mode & S_IWOTH) == 0) {
        return errc::forbidden;
    } else if (::faccessat(directory, base, rights, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0) {
        return last_error();
    } else if (is_kept_for_owner(directory, about)) {
        return system_error_code(EPERM);
    }
    if (::faccessat(directory, ".", rights | X_OK, AT_EACCESS) != 0) {
        return last_error();
    }
    return {};
}

error_code export_root::check_request(
    std::string_view name, std::optional<std::uint64_t> announced_size
) const noexcept {
    if (policy_.writable == writable::never) {
        return errc::forbidden;
    }
    const result<plain_name> plain = plain_name::from(name);
    if (!plain) {
        return plain.error();
    }
    const bool large = policy_.file_size_max != 0 && announced_size > policy_.file_size_max;
    return large ? make_error_code(errc::too_large) : error_code();
}

result<std::unique_ptr<sink>> export_root::create(
    std::string_view name, std::optional<std::uint64_t> announced_size
) const noexcept {
    if (const error_code refused = check_request(name, announced_size)) {
        return refused;
    }
    const result<plain_name> plain = plain_name::from(name);
    if (!plain) {
        return plain.error();
    }
    try {
        const file_sink_options options{
            overwriting(),
            policy_.file_size_max,
            policy_.fsync,
            0644,
            policy_.versions_max,
            ledger_};
        file_target target{
            root_, plain->text.data(), policy_.symlinks == symlinks::inside, how_ == lookup::walk};
        // The thread that serves makes the file, with the first block.
        target.same_mount = true;
        result<unique_fd> directory = open_parent(target);
        if (!directory && directory.error().value() == EXDEV) {
            // A mount point is on the way, or the way leads out.
            target.same_mount = false;
            directory = open_parent(target);
        }
        if (!directory) {
            return refusal_of(directory.error());
        }
        if (const error_code refused = check_target(directory.value().get(), base_name(target))) {
            return refused;
        }
        target.remote =
            !target.same_mount || storage_of(directory.value().get()) == storage::remote;
        struct ::stat about = {};
        if (::fstat(directory.value().get(), &about) == 0) {
            target.lane = lane_of(about.st_dev);
        }
        auto made = std::make_unique<file_sink>(std::move(target), options);
        if (announced_size) {
            if (const error_code refused = made->reserve(*announced_size)) {
                return refused;
            }
        }
        return std::unique_ptr<sink>(std::move(made));
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

} // namespace tftp::io
