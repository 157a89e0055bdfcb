#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/file/file_sink.hpp>

#include <cstdint>

#include <sys/stat.h>

namespace tftp {

/// How content gets its name, as things stand now.
struct upload_plan {
    enum class way : std::uint8_t {
        /// No file has the name.
        create,
        /// A new file takes the name of the old one.
        rename,
        /// The old file is written.
        in_place,
    };

    way how = way::create;
    /// Content is collected in the directory of the target; otherwise in the spool directory.
    bool beside = true;
    /// The name is that of a link.
    bool link = false;
    /// The old file (O_PATH), at the end of a link; empty when there is none.
    unique_fd file;
    /// What fstat(2) says of `file`.
    struct ::stat about = {};
};

/// Decides how content gets to `target`, and whether it can.
///
/// directory: that of the target, opened with O_PATH. Errors: `file_exists` under
/// `overwrite::deny`; `errc::not_regular` for what is no file, and for a link that is not followed
/// or not kept; `errc::forbidden` for a mount point that only in-place writing would serve; those
/// of open_beneath() for a link that leads nowhere or out; `errc::not_writable`, and for a
/// directory that takes no content, while no spool directory takes it instead,
/// `errc::directory_not_writable`; `errc::kept_for_owner` where only a rename will do;
/// `errc::no_entry`; others as the system says.
[[nodiscard]] result<upload_plan>
plan_upload(int directory, const file_target& target, const file_sink_options& options) noexcept;

/// Returns ENOSPC when `size_bytes` of content cannot be collected, or not be given to the old
/// file, as far as that shows. directory: as for plan_upload().
[[nodiscard]] error_code check_room(
    int directory,
    const upload_plan& plan,
    const file_sink_options& options,
    std::uint64_t size_bytes
) noexcept;

} // namespace tftp
