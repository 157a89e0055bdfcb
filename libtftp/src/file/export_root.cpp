#include "base/iovec.hpp"
#include "file/beneath.hpp"
#include "file/in_place.hpp"
#include "file/replacement.hpp"
#include "file/storage.hpp"
#include "file/upload_plan.hpp"
#include "file/upload_target.hpp"

#include <tftp/file/access.hpp>
#include <tftp/file/export_root.hpp>
#include <tftp/file/name_policy.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp {

namespace {

/// A normalised name with a NUL behind it.
struct plain_name {
    std::array<char, name_octets_max + 1> text;
    std::size_t length = 0;

    [[nodiscard]] static result<plain_name>
    from(std::string_view requested, separators between) noexcept {
        plain_name name{};
        const result<std::size_t> length =
            normalise_name(requested, std::span(name.text).first(name_octets_max), between);
        if (!length) {
            return length.error();
        }
        name.length = *length;
        name.text[*length] = '\0';
        return name;
    }

    [[nodiscard]] std::string_view view() const noexcept { return {text.data(), length}; }
};

/// Calls `visit` with each reading of a requested name, in the order in which they are tried, until
/// it returns true: a result<const char*>, a path with a NUL behind it. own: paths of the root.
template <class Visit>
void for_each_reading(std::string_view requested, std::span<const std::string> own, Visit&& visit) {
    const bool windows = requested.find('\\') != std::string_view::npos;
    const result<plain_name> readings[] = {
        plain_name::from(requested, separators::slashes),
        windows ? plain_name::from(requested, separators::both)
                : result<plain_name>(make_error_code(errc::bad_name))};
    const auto used = std::span(readings).first(windows ? 2 : 1);
    for (const result<plain_name>& each : used) {
        if (visit(each ? result<const char*>(each->text.data()) : each.error())) {
            return;
        }
    }
    for (const result<plain_name>& each : used) {
        for (const std::string& path : own) {
            const std::string_view behind =
                each ? name_behind(each->view(), path) : std::string_view();
            if (behind.data() == nullptr) {
                continue;
            }
            const bool leaves = behind.starts_with("../");
            if (visit(
                    behind.empty() ? result<const char*>(make_error_code(errc::not_regular))
                    : leaves       ? result<const char*>(make_error_code(errc::bad_name))
                                   : result<const char*>(behind.data())
                )) {
                return;
            }
        }
    }
}

/// Returns the paths of a directory as names that begin with them have them: as it was given, and
/// without links. Throws std::bad_alloc.
[[nodiscard]] std::vector<std::string> own_paths(const char* directory) {
    std::vector<std::string> paths;
    const auto add = [&paths](const std::string& path) {
        plain_name plain{};
        const result<std::size_t> length =
            normalise_name(path, std::span(plain.text).first(name_octets_max), separators::slashes);
        if (length && std::ranges::find(paths, plain.text.data()) == paths.end()) {
            paths.emplace_back(plain.text.data(), *length);
        }
    };
    std::error_code unknown;
    const std::filesystem::path given = std::filesystem::absolute(directory, unknown);
    if (!unknown) {
        std::string text = given.lexically_normal().native();
        while (text.ends_with('/')) {
            text.pop_back();
        }
        add(text);
    }
    const std::filesystem::path real = std::filesystem::canonical(directory, unknown);
    if (!unknown) {
        add(real.native());
    }
    return paths;
}

/// Turns what resolution says about odd files into what the policy says about them.
error_code refusal_of(const error_code& error) noexcept {
    if (error.category() != boost::system::system_category()) {
        return error;
    }
    switch (error.value()) {
    case ENXIO: // a socket
    case ENODEV:
        return errc::not_regular;
    case ENOTDIR: // a file where a directory would have to be
        return system_error_code(ENOENT);
    case EAGAIN:
        return errc::held;
    default:
        return error;
    }
}

[[nodiscard]] bool is_missing(const error_code& why) noexcept {
    return why == system_error_code(ENOENT);
}

/// Returns true when no file has that name in one reading, as far as a client may know: another
/// reading can still lead to one.
[[nodiscard]] bool leaves_others(const error_code& why) noexcept {
    return is_missing(why) || why == errc::bad_name || why == errc::not_regular ||
           why == errc::link_refused || why == errc::absolute_link || why == errc::link_leaves ||
           why == errc::link_loop;
}

/// Keeps the reason that says most: the first that is not "missing".
void keep_reason(
    error_code& why, const error_code& next, const result<const char*>& path
) noexcept {
    if (why && !is_missing(why)) {
        return;
    }
    const bool out = is_missing(next) && path && climbs_out(*path);
    why = out ? make_error_code(errc::bad_name) : next;
}

} // namespace

struct export_root::places {
    std::shared_ptr<const unique_fd> root;
    std::shared_ptr<const std::vector<unique_fd>> targets;
    /// Of the root, as `own_paths` has them.
    std::vector<std::string> paths;
    /// Another machine or process answers for the root.
    bool remote = false;
};

export_root::export_root(
    std::shared_ptr<const places> shared,
    std::shared_ptr<upload_quota> ledger,
    std::shared_ptr<const unique_fd> spool,
    const access_policy& policy,
    lookup how
)
    : places_(std::move(shared)),
      ledger_(std::move(ledger)),
      spool_(std::move(spool)),
      policy_(policy),
      how_(how) {}

result<export_root>
export_root::open(const char* directory, const access_policy& policy, lookup how) noexcept {
    unique_fd root(::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return last_error();
    }
    unique_fd spool;
    if (!policy.spool_directory.empty()) {
        spool.reset(::open(policy.spool_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!spool) {
            return last_error();
        }
    }
    try {
        std::shared_ptr<upload_quota> ledger;
        if (policy.total_size_max != 0) {
            const result<std::uint64_t> stored = size_beneath(root.get());
            if (!stored) {
                return stored.error();
            }
            ledger = std::make_shared<upload_quota>(policy.total_size_max, *stored);
        } else if (policy.overwrite == overwrite::keep) {
            ledger = std::make_shared<upload_quota>(0);
        }
        std::vector<unique_fd> targets;
        for (const std::string& path : policy.link_targets) {
            targets.emplace_back(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
            if (!targets.back()) {
                return last_error();
            }
        }
        places shared;
        shared.remote = storage_of(root.get()) == storage::remote;
        shared.root = std::make_shared<const unique_fd>(std::move(root));
        shared.targets = std::make_shared<const std::vector<unique_fd>>(std::move(targets));
        shared.paths = own_paths(directory);
        return export_root(
            std::make_shared<const places>(std::move(shared)),
            std::move(ledger),
            spool ? std::make_shared<const unique_fd>(std::move(spool)) : nullptr,
            policy,
            how
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
    return places_->remote ? make_error_code(errc::would_block) : open_file(name, true);
}

bool export_root::leads_there(const char* path, const file_identity& file) const noexcept {
    // Not by name alone: whatever lies on the way may be a disk that does not answer.
    const beneath_options how{
        policy_.symlinks, true, how_ == lookup::walk, false, false, *places_->targets};
    const result<unique_fd> found = open_beneath(places_->root->get(), path, O_PATH, how);
    struct ::stat about = {};
    return found && ::fstat(found->get(), &about) == 0 && identity_of(about) == file;
}

bool export_root::leads_to(std::string_view name, const file_identity& file) const noexcept {
    if (places_->remote) {
        return false;
    }
    bool same = false;
    int readings = 0;
    for_each_reading(name, places_->paths, [&](const result<const char*>& path) {
        same = ++readings == 1 && path && leads_there(*path, file);
        return readings > 1;
    });
    return same;
}

result<std::shared_ptr<const opened_file>>
export_root::open_file(std::string_view name, bool only_cached) const noexcept {
    constexpr int attempts_max = 4;
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        const in_place_watch watch;
        auto file = open_once(name, only_cached);
        if (!file) {
            return file;
        }
        const file_identity& found = (*file)->identity();
        if (!watch.disturbed(found.device, found.inode)) {
            return file;
        }
        if (only_cached) {
            return make_error_code(errc::would_block);
        }
        if (!wait_until_written(found.device, found.inode)) {
            break;
        }
    }
    return system_error_code(EBUSY);
}

result<std::shared_ptr<const opened_file>>
export_root::open_once(std::string_view name, bool only_cached) const noexcept {
    result<std::shared_ptr<const opened_file>> found = system_error_code(ENOENT);
    error_code why;
    for_each_reading(name, places_->paths, [&](const result<const char*>& path) {
        found = path ? open_reading(*path, only_cached) : path.error();
        if (found) {
            return true;
        }
        const bool final = !leaves_others(found.error());
        if (final) {
            why = found.error();
        } else {
            keep_reason(why, found.error(), path);
        }
        return final;
    });
    return found ? std::move(found) : why;
}

result<std::shared_ptr<const opened_file>>
export_root::open_reading(const char* path, bool only_cached) const noexcept {
    const beneath_options how{
        policy_.symlinks,
        only_cached,
        how_ == lookup::walk,
        false,
        !only_cached,
        *places_->targets};
    // O_NONBLOCK: neither a FIFO without writer nor a lease holds the caller up.
    result<unique_fd> fd =
        open_beneath(places_->root->get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY, how);
    if (!fd) {
        // EXDEV: another file system is mounted there, or the way leads out.
        if (only_cached && fd.error() == system_error_code(EAGAIN)) {
            return make_error_code(errc::would_block);
        }
        return fd.error() == system_error_code(EACCES) ? why_no_access(path, only_cached)
                                                       : refusal_of(fd.error());
    }
    result<std::shared_ptr<const opened_file>> file =
        opened_file::adopt(std::move(fd).value(), !only_cached);
    if (file.has_value() && policy_.require_world_readable &&
        ((*file)->permissions() & S_IROTH) == 0) {
        return make_error_code(errc::not_world_readable);
    }
    return file;
}

/// Tells what a file that may not be read lacks, or a directory on the way.
error_code export_root::why_no_access(const char* path, bool only_cached) const noexcept {
    const beneath_options how{
        policy_.symlinks, only_cached, how_ == lookup::walk, false, false, *places_->targets};
    const result<unique_fd> reached = open_beneath(places_->root->get(), path, O_PATH, how);
    if (!reached) {
        return reached.error() == system_error_code(EACCES) ? errc::no_entry : errc::unreadable;
    }
    struct ::stat about = {};
    if (::fstat(reached->get(), &about) != 0) {
        return errc::unreadable;
    }
    if (!S_ISREG(about.st_mode)) {
        return errc::not_regular;
    }
    const bool closed = policy_.require_world_readable && (about.st_mode & S_IROTH) == 0;
    return closed ? errc::not_world_readable : errc::unreadable;
}

overwrite export_root::overwriting() const noexcept {
    if (policy_.overwrite) {
        return *policy_.overwrite;
    }
    return policy_.writable == writable::existing ? overwrite::replace : overwrite::deny;
}

error_code export_root::check_name(int directory, const char* base) const noexcept {
    const std::string_view name(base);
    if (overwriting() == overwrite::keep &&
        (is_version_name(name) || name.size() > versioned_name_max)) {
        return errc::bad_name;
    }
    struct ::stat about = {};
    if (policy_.writable == writable::existing &&
        ::fstatat(directory, base, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == EACCES ? errc::no_entry : last_error();
    }
    return {};
}

error_code export_root::check_request(
    std::string_view name, std::optional<std::uint64_t> announced_size
) const noexcept {
    if (policy_.writable == writable::never) {
        return errc::uploads_off;
    }
    error_code why = make_error_code(errc::bad_name);
    for_each_reading(name, places_->paths, [&why](const result<const char*>& path) {
        why = path ? error_code() : path.error();
        return path.has_value();
    });
    if (why) {
        return why;
    }
    const bool large = policy_.file_size_max != 0 && announced_size > policy_.file_size_max;
    return large ? make_error_code(errc::too_large) : error_code();
}

file_target export_root::target_at(const char* path) const {
    file_target target;
    target.directory = places_->root;
    target.path = path;
    target.links = policy_.symlinks;
    target.link_targets = places_->targets;
    target.force_walk = how_ == lookup::walk;
    return target;
}

/// Returns where an upload goes: the first reading that a file has, else the last one, which is
/// without the path of the root in front and has no backslashes.
result<file_target> export_root::choose_target(std::string_view name) const {
    result<file_target> chosen = make_error_code(errc::bad_name);
    for_each_reading(name, places_->paths, [&](const result<const char*>& path) {
        if (!path) {
            chosen = path.error();
            return false;
        }
        chosen = target_at(*path);
        const result<unique_fd> directory = open_parent(*chosen, true);
        struct ::stat about = {};
        return directory.has_value() &&
               ::fstatat(directory->get(), base_name(*chosen), &about, AT_SYMLINK_NOFOLLOW) == 0;
    });
    return chosen;
}

result<std::unique_ptr<sink>> export_root::create(
    std::string_view name, std::optional<std::uint64_t> announced_size
) const noexcept {
    if (const error_code refused = check_request(name, announced_size)) {
        return refused;
    }
    try {
        result<file_target> target = choose_target(name);
        return target ? make_sink(std::move(*target), announced_size) : target.error();
    } catch (const std::bad_alloc&) {
        return system_error_code(ENOMEM);
    }
}

result<std::unique_ptr<sink>>
export_root::make_sink(file_target target, std::optional<std::uint64_t> announced_size) const {
    file_sink_options options;
    options.existing = overwriting();
    options.size_max_bytes = policy_.file_size_max;
    options.fsync = policy_.fsync;
    options.permissions.reset();
    options.versions_max = policy_.versions_max;
    options.ledger = ledger_;
    options.method = policy_.method;
    options.spool = spool_;
    // The thread that serves makes the file, with the first block.
    target.same_mount = true;
    result<unique_fd> directory = open_parent(target, true);
    if (!directory && directory.error() == system_error_code(EXDEV)) {
        // A mount point is on the way, or a link that the kernel does not follow.
        target.same_mount = false;
        directory = open_parent(target, true);
    }
    if (!directory) {
        error_code why;
        keep_reason(why, refusal_of(directory.error()), target.path.c_str());
        return why == system_error_code(EACCES) ? make_error_code(errc::no_entry) : why;
    }
    const int at = directory.value().get();
    if (const error_code refused = check_name(at, base_name(target))) {
        return refused;
    }
    const result<upload_plan> plan = plan_upload(at, target, options);
    if (!plan) {
        return refusal_of(plan.error());
    }
    if (policy_.require_world_writable && plan->file && (plan->about.st_mode & S_IWOTH) == 0) {
        return make_error_code(errc::not_world_writable);
    }
    const int collects = plan->beside ? at : spool_->get();
    // What may stall longest decides for all of it.
    const bool far = plan->file && storage_of(plan->file.get()) == storage::remote;
    target.remote = !target.same_mount || far || storage_of(collects) == storage::remote;
    struct ::stat about = plan->about;
    if (far || ::fstatat(collects, "", &about, AT_EMPTY_PATH) == 0) {
        target.lane = lane_of(about.st_dev);
    }
    auto made = std::make_unique<file_sink>(std::move(target), std::move(options));
    if (announced_size) {
        if (const error_code refused = made->reserve(*announced_size)) {
            return refused;
        }
    }
    return std::unique_ptr<sink>(std::move(made));
}

} // namespace tftp
