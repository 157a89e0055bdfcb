#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/opened_file.hpp>
#include <tftp/file/symlinks.hpp>
#include <tftp/file/upload_quota.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tftp {

/// Which uploads are taken.
enum class writable : std::uint8_t {
    never,
    /// Only a name that exists already.
    existing,
    /// New names too, in directories that exist.
    create,
};

/// How names are resolved.
enum class lookup : std::uint8_t {
    /// By openat2(2); step by step where the kernel or a filter refuses it.
    automatic,
    /// Step by step always: for tests.
    walk,
};

/// What clients may do beneath an exported directory.
struct access_policy {
    tftp::writable writable = writable::never;
    tftp::symlinks symlinks = symlinks::inside;
    /// Paths of directories outside that links may lead to under `symlinks::follow`, for uploads
    /// too. Opened with the root.
    std::vector<std::string> link_targets{};
    /// Empty: `deny` under `writable::create`, `replace` under `writable::existing`. Under `keep`
    /// names of versions are not written, nor names too long to have versions, and only files are
    /// replaced that may be read too, in directories that may be read.
    std::optional<tftp::overwrite> overwrite;
    /// Versions that stay under `overwrite::keep`, >= 1.
    std::size_t versions_max = 1;
    /// Only files with the others' read bit are served, whoever owns them: what TFTP serves,
    /// everybody can read. Without it the user of this process must be able to read the file.
    bool require_world_readable = true;
    /// Only files with the others' write bit are replaced (the rule of the BSD servers). Without
    /// it the file must be writable by the user of this process.
    bool require_world_writable = false;
    /// Largest upload in bytes; 0 for no limit.
    std::uint64_t file_size_max = 0;
    /// Largest sum of the sizes of all files beneath the root, in bytes; 0 for no limit. Counted
    /// when the root is opened, and from then on by what uploads do.
    std::uint64_t total_size_max = 0;
    /// Uploads are on stable storage before they are acknowledged.
    bool fsync = true;
    /// How a file is replaced.
    upload_method method = upload_method::automatic;
    /// Directory in which uploads are collected that the directory of their file does not take;
    /// empty for none. Not beneath the root, as a rule. What is there counts for `total_size_max`.
    std::string spool_directory{};
};

/// A directory whose files are served: the only code that turns a requested name into a file.
///
/// No name, link or race leads out of the directory and the link targets. A requested name is
/// tried in these readings, until one leads to a file: as it is; with backslashes for separators;
/// and each of them without the path of the root itself in front. Thread-safe. Copies are the same
/// root.
class export_root {
public:
    /// Counts what is stored when `total_size_max` asks for it, which reads the whole tree. Errors:
    /// as open(2) says, of the root, of each link target and of the spool directory.
    [[nodiscard]] static result<export_root> open(
        const char* directory, const access_policy& policy, lookup how = lookup::automatic
    ) noexcept;

    /// Opens the file a client asks for. May block, but not on a FIFO or a device; waits for up to
    /// a second for another program that holds the file (a lease, or a delegation of a server).
    ///
    /// Errors: those of `normalise_name`; `errc::not_regular`; `errc::not_world_readable`;
    /// `errc::unreadable`, `errc::no_entry` for what this user may not do; `errc::link_refused`,
    /// `errc::absolute_link`, `errc::link_leaves`, `errc::link_loop` for links that are not
    /// followed; `errc::held`; `no_such_file_or_directory`; others as the system says.
    [[nodiscard]] result<std::shared_ptr<const opened_file>> open_read(std::string_view name
    ) const noexcept;

    /// Like `open_read`, but only when that takes no wait: all of the path is at hand in memory, on
    /// the disk of the root.
    ///
    /// Errors: `errc::would_block` otherwise: call `open_read` where blocking is allowed.
    [[nodiscard]] result<std::shared_ptr<const opened_file>> try_open_read(std::string_view name
    ) const noexcept;

    /// Returns true when `name` leads to `file`, which open_read() gave for it a moment ago, and
    /// that file is as it was: opening it again would give the same. Looks, and does not open it;
    /// false also when that could wait, and for a name of several readings.
    [[nodiscard]] bool leads_to(std::string_view name, const file_identity& file) const noexcept;

    /// Returns why an upload is refused, as far as that shows without looking at the disk:
    /// read-only service, name, size limit. Errors as `create`.
    [[nodiscard]] error_code check_request(
        std::string_view name, std::optional<std::uint64_t> announced_size
    ) const noexcept;

    /// Returns the sink for an upload, after checking what can be known now: name, policy,
    /// permissions, size limit and free space. Nothing is created or held open before the first
    /// write. May block.
    ///
    /// A new file has the permissions that the umask of this process leaves, or that the default
    /// ACL of its directory gives. announced_size: the client's tsize in bytes. Errors: those of
    /// `normalise_name` and of links as `open_read`; `errc::uploads_off`, `errc::not_regular` (also
    /// for a link that is not followed), `errc::not_writable`, `errc::not_world_writable`,
    /// `errc::directory_not_writable`, `errc::kept_for_owner` where only a rename will do,
    /// `errc::forbidden` for a mount point there, `errc::no_entry`, `errc::too_large`, EDQUOT for
    /// the total, `no_space_on_device`, `file_exists`, `no_such_file_or_directory`; others as the
    /// system says.
    [[nodiscard]] result<std::unique_ptr<sink>>
    create(std::string_view name, std::optional<std::uint64_t> announced_size) const noexcept;

    [[nodiscard]] const access_policy& policy() const noexcept { return policy_; }

private:
    /// What all copies share.
    struct places;

    export_root(
        std::shared_ptr<const places> shared,
        std::shared_ptr<upload_quota> ledger,
        std::shared_ptr<const unique_fd> spool,
        const access_policy& policy,
        lookup how
    );

    [[nodiscard]] result<std::shared_ptr<const opened_file>>
    open_file(std::string_view name, bool only_cached) const noexcept;
    [[nodiscard]] result<std::shared_ptr<const opened_file>>
    open_once(std::string_view name, bool only_cached) const noexcept;
    [[nodiscard]] result<std::shared_ptr<const opened_file>>
    open_reading(const char* path, bool only_cached) const noexcept;
    [[nodiscard]] bool leads_there(const char* path, const file_identity& file) const noexcept;
    [[nodiscard]] error_code why_no_access(const char* path, bool only_cached) const noexcept;
    [[nodiscard]] result<std::unique_ptr<sink>>
    make_sink(file_target target, std::optional<std::uint64_t> announced_size) const;
    [[nodiscard]] error_code check_name(int directory, const char* base) const noexcept;
    [[nodiscard]] overwrite overwriting() const noexcept;
    [[nodiscard]] file_target target_at(const char* path) const;
    [[nodiscard]] result<file_target> choose_target(std::string_view name) const;

    std::shared_ptr<const places> places_;
    std::shared_ptr<upload_quota> ledger_;
    /// Null for none.
    std::shared_ptr<const unique_fd> spool_;
    access_policy policy_;
    lookup how_;
};

} // namespace tftp
