#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>

#include <optional>
#include <string>

#include <sys/stat.h>

namespace tftp {

/// Where a file of a local user stands, or is to stand: a name in a directory that is open, so that
/// nothing is looked up a second time.
struct local_place {
    /// O_PATH.
    unique_fd directory;
    /// One component. It is no link, except to what is no regular file.
    std::string name;
    /// What has the name, behind the link if it is one; empty when nothing has it.
    std::optional<struct ::stat> file;
};

/// Finds the place that `path` stands for. The kernel looks up names and follows links, at the end
/// of the path too, and so its rules hold, fs.protected_symlinks among them. That rule holds here
/// for `path` itself even where the kernel does not apply it: in a directory that is sticky and
/// writable for all, only links of the caller or of the directory's owner are followed.
///
/// A link that leads to nothing stands for the place where the kernel would make a file. Errors:
/// `is_a_directory` for a path that ends in no name; `permission_denied` for a link that is not
/// followed; `device_or_resource_busy` when names change all the time; others as the system says.
/// Throws std::bad_alloc.
[[nodiscard]] result<local_place> find_local_place(const std::string& path);

} // namespace tftp
