#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/file/symlinks.hpp>
#include <tftp/file/upload_quota.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <sys/uio.h>

namespace tftp {

class temporary_file;
struct upload_plan;

/// What happens to a file that already has the name.
enum class overwrite : std::uint8_t {
    /// It stays; the transfer fails with `file_exists`.
    deny,
    /// The new content takes its place, see `upload_method`; permission bits, ACL and extended
    /// attributes are kept, owner and group as far as this process may.
    replace,
    /// As `replace`, and the old file stays as the numbered version NAME.~K~, K one above the
    /// highest there is; versions beyond a maximum are removed, lowest numbers first.
    keep,
};

/// How new content gets to a file that exists.
enum class upload_method : std::uint8_t {
    /// `rename` where that keeps everything; otherwise `in_place`.
    automatic,
    /// A new file takes the name in one step. What cannot be replaced so is refused: a link, a
    /// mount point, a file in a directory that may not be written.
    rename,
    /// The whole content is collected first, and then copied into the file. So the file keeps
    /// owner,
    /// rights, names and what is mounted; who reads it meanwhile, or after a crash in the middle of
    /// the copy, finds old and new parts.
    in_place,
};

/// How a file is written.
struct file_sink_options {
    overwrite existing = overwrite::replace;
    /// Content beyond it ends the transfer with `errc::too_large`; 0 for no limit.
    std::uint64_t size_max_bytes = 0;
    /// Commit waits until file and name are on stable storage.
    bool fsync = true;
    /// Permission bits of a new file; empty for 0666 less the umask, or what the default ACL of
    /// the directory says.
    std::optional<::mode_t> permissions = 0644;
    /// Versions that stay under `overwrite::keep`, >= 1.
    std::size_t versions_max = 1;
    /// What is shared with the other sinks of the directory; null when nothing is.
    std::shared_ptr<upload_quota> ledger{};
    /// `make_file_sink` writes in pieces of so many bytes, see `buffered_sink`; 0: as they
    /// come.
    std::size_t piece_octets = 0;
    upload_method method = upload_method::automatic;
    /// Directory (O_PATH does) in which content is collected that the directory of the target does
    /// not take; null for none.
    std::shared_ptr<const unique_fd> spool{};
};

/// Where a file is to appear: a path beneath a directory that stays open.
struct file_target {
    std::shared_ptr<const unique_fd> directory;
    /// Relative; the last component is none of "." and "..".
    std::string path;
    /// Which links are followed, never out of `directory` and `link_targets`. One in the last
    /// component stays: the file that it leads to is written in place.
    symlinks links = symlinks::no;
    /// Directories outside that links may lead to; null for none.
    std::shared_ptr<const std::vector<unique_fd>> link_targets{};
    /// Resolve step by step even where the kernel could do it (openat2).
    bool force_walk = false;
    /// See `sink::lane`, of the directory that the file is to appear in.
    std::uint64_t lane = 0;
    /// See `sink::remote`, of the same directory, and of the way to it.
    bool remote = false;
    /// Nothing is mounted on the way, nor to be entered that is mounted there later: it may never
    /// answer. As far as the kernel has openat2(2).
    bool same_mount = false;
};

/// Writes a new file, or a new content for an existing one, that appears at `commit` and not at all
/// otherwise: an existing file is untouched until then, and nothing is left behind by a failure or
/// by the destructor.
///
/// No descriptor is held and no file exists before the first write or commit. The content grows in
/// an unnamed file (O_TMPFILE) of the target's own directory, or in a hidden one
/// (`temporary_prefix`) where the file system has none; or, where that directory may not be
/// written, in one of `file_sink_options::spool`. To replace a file, the new one takes a hidden
/// name for the moment between link and rename; or the content is copied, see `upload_method`. A
/// process that is killed leaves a hidden name at most, and the file that it was copying to in
/// part.
class file_sink final : public sink {
public:
    /// Bytes that are allocated beyond those that have come.
    static constexpr std::uint64_t allocated_ahead_max = std::uint64_t{64} << 20;

    /// Prepares an upload to `target`; touches nothing yet.
    file_sink(file_target target, file_sink_options options) noexcept;
    ~file_sink() override;

    [[nodiscard]] std::uint64_t lane() const noexcept override { return target_.lane; }

    [[nodiscard]] bool remote() const noexcept override { return target_.remote; }

    /// Errors: `errc::too_large`; EDQUOT when the ledger has no room; `no_space_on_device` when
    /// less is free. The room is claimed in the ledger with the first write. On the disk, where the
    /// file system can, as much is allocated ahead as has come, up to `allocated_ahead_max`.
    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    /// As `sink::commit`, with two exceptions: when only the last step fails, the flush of the
    /// directory of a replaced file, the new content is visible although an error is returned; and
    /// a disk that fails in the middle of a copy leaves a part of it. A full disk leaves the old
    /// content, as far as the file system can tell beforehand.
    ///
    /// Errors: `no_such_file_or_directory` when the path no longer leads to the directory of the
    /// first write; `permission_denied` when it leads to no file any more, and the
    /// directory takes none; `file_exists`;
    /// `device_or_resource_busy` when others hold a lock on the file, `errc::held` when they hold a
    /// lease; others as the system says.
    [[nodiscard]] error_code commit() noexcept override;

private:
    [[nodiscard]] error_code ensure_temporary() noexcept;
    [[nodiscard]] error_code open_temporary() noexcept;
    [[nodiscard]] error_code claim(std::uint64_t size_bytes) noexcept;
    void release_claim(std::uint64_t kept_bytes) noexcept;
    [[nodiscard]] error_code allocate(std::uint64_t needed) noexcept;
    [[nodiscard]] error_code trim() noexcept;
    [[nodiscard]] error_code find_place_again() const noexcept;
    [[nodiscard]] error_code publish(const upload_plan& plan) noexcept;
    [[nodiscard]] error_code create() noexcept;
    [[nodiscard]] error_code replace(const upload_plan& plan) noexcept;
    [[nodiscard]] error_code take_turn(std::unique_lock<std::mutex>& turn) const noexcept;
    [[nodiscard]] error_code replace_in_turn(const char* name) noexcept;
    [[nodiscard]] error_code write_over(const upload_plan& plan) noexcept;
    [[nodiscard]] error_code write_over_in_turn(int old) noexcept;
    [[nodiscard]] result<unique_fd> open_old(const upload_plan& plan, int flags) const noexcept;
    [[nodiscard]] error_code flush_content() noexcept;
    [[nodiscard]] bool has_name(const char* name) const noexcept;
    [[nodiscard]] error_code flush_directory() noexcept;

    file_target target_;
    file_sink_options options_;
    unique_fd directory_;
    /// Null before the first write.
    std::unique_ptr<temporary_file> content_;
    /// The content is in the spool directory.
    bool spooled_ = false;
    bool replaced_ = false;
    std::uint64_t announced_ = 0;
    /// Where space was taken on the disk; beyond the announced size when none is to be taken.
    std::uint64_t allocated_ = 0;
    /// What the ledger counts for this upload.
    std::uint64_t claimed_ = 0;
    std::uint64_t written_ = 0;
};

/// Writes in sequence to a descriptor that cannot be replaced or taken back: standard output, a
/// pipe, a device. Offsets are not used.
class fd_sink final : public sink {
public:
    /// fd: borrowed; must outlive the sink. Non-blocking descriptors are waited for.
    explicit fd_sink(int fd) noexcept : fd_(fd) {}

    /// Owns `fd`.
    explicit fd_sink(unique_fd fd) noexcept : fd_(fd.get()), owned_(std::move(fd)) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    /// May block.
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

private:
    int fd_;
    unique_fd owned_;
};

/// Returns the sink for `path`, anywhere in the file system: for a client's download.
///
/// A new name or a regular file: a `file_sink`, through links to the file they name, or would name.
/// A device, a pipe or a terminal: written directly. Without `file_sink_options::spool` the
/// system's temporary directory takes what the directory of the file does not. Links are followed
/// by the kernel, and in a directory that is sticky and writable for all only those of the caller
/// or of its owner, even without fs.protected_symlinks. Errors: `is_a_directory`,
/// `permission_denied` for a file that may not be written and for a link that is not followed,
/// `file_exists` under `overwrite::deny`; others as the system says.
[[nodiscard]] result<std::unique_ptr<sink>>
make_file_sink(const char* path, const file_sink_options& options) noexcept;

} // namespace tftp
