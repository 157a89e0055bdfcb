#pragma once

#include <tftp/io/file_sink.hpp>
#include <tftp/io/opened_file.hpp>
#include <tftp/io/sink.hpp>
#include <tftp/io/unique_fd.hpp>
#include <tftp/io/upload_ledger.hpp>
#include <tftp/wire/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace tftp::io {

/// Which uploads are taken.
enum class writable : std::uint8_t {
    never,
    /// Only a name that exists already.
    existing,
    /// New names too, in directories that exist.
    create,
};

/// Which symbolic links are followed.
enum class symlinks : std::uint8_t {
    no,
    /// Relative ones that stay beneath the root.
    inside,
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
    io::writable writable = io::writable::never;
    io::symlinks symlinks = io::symlinks::inside;
    /// Empty: `deny` under `writable::create`, `replace` under `writable::existing`. Under `keep`
    /// names of versions are not written, nor names too long to have versions, and only files are
    /// replaced that may be read too, in directories that may be read.
    std::optional<io::overwrite> overwrite;
    /// Versions that stay under `overwrite::keep`, >= 1.
    std::size_t versions_max = 1;
    /// Only files with the others' read bit are served, whoever owns them: what TFTP serves,
    /// everybody can read.
    bool require_world_readable = true;
    /// Only files with the others' write bit are replaced (the rule of the BSD servers). Without
    /// it the file must be writable by the user of this process.
    bool require_world_writable = false;
    /// Largest upload in octets; 0 for no limit.
    std::uint64_t file_size_max = 0;
    /// Largest sum of the sizes of all files beneath the root, in octets; 0 for no limit. Counted
    /// when the root is opened, and from then on by what uploads do.
    std::uint64_t total_size_max = 0;
    /// Uploads are on stable storage before they are acknowledged.
    bool fsync = true;
};

/// A directory whose files are served: the only code that turns a requested name into a file.
///
/// No name, link or race leads out of the directory. Thread-safe. Copies are the same root.
class export_root {
public:
    /// Counts what is stored when `total_size_max` asks for it, which reads the whole tree. Errors:
    /// as open(2) says.
    [[nodiscard]] static result<export_root> open(
        const char* directory, const access_policy& policy, lookup how = lookup::automatic
    ) noexcept;

    /// Opens the file a client asks for. May block, but not on a FIFO or a device.
    ///
    /// Errors: those of `normalise_name`; `errc::not_regular`; `errc::forbidden` for a file that is
    /// not world-readable and for links out of the root; `no_such_file_or_directory`; others as the
    /// system says.
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
    /// false also when that could wait.
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
    /// announced_size: the client's tsize in octets. Errors: those of `normalise_name`;
    /// `errc::forbidden`, `errc::not_regular` (also for a link), `errc::too_large`, EDQUOT for the
    /// total, `no_space_on_device`, `file_exists`, `no_such_file_or_directory`; others as the
    /// system says.
    [[nodiscard]] result<std::unique_ptr<sink>>
    create(std::string_view name, std::optional<std::uint64_t> announced_size) const noexcept;

    [[nodiscard]] const access_policy& policy() const noexcept { return policy_; }

private:
    export_root(
        std::shared_ptr<const unique_fd> root,
        std::shared_ptr<upload_ledger> ledger,
        const access_policy& policy,
        lookup how,
        bool remote
    ) noexcept;

    [[nodiscard]] result<std::shared_ptr<const opened_file>>
    open_file(std::string_view name, bool only_cached) const noexcept;
    [[nodiscard]] error_code check_target(int directory, const char* base) const noexcept;
    [[nodiscard]] overwrite overwriting() const noexcept;

    std::shared_ptr<const unique_fd> root_;
    std::shared_ptr<upload_ledger> ledger_;
    access_policy policy_;
    lookup how_;
    /// Another machine or process answers for the directory.
    bool remote_;
};

} // namespace tftp::io
