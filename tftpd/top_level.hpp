#pragma once

#include <optional>
#include <string>

namespace tftpd {

/// Returns one line that says whom files are served to by the rule in force, when the top level of
/// `directory` holds files that the other rule treats in another way; empty otherwise, and when the
/// directory may be entered and not listed. At most 10,000 names are looked at.
///
/// world: only files that others may read are served. user: the name of the own user, who is asked.
/// The line names no file and no directory: it is for the log.
[[nodiscard]] std::optional<std::string>
files_of_other_kind(const std::string& directory, bool world, const std::string& user);

} // namespace tftpd
