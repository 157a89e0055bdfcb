#pragma once

#include "start_error.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

namespace tftpd {

/// The process cannot become what it was told to be; `what()` is one line for the user.
class privilege_error : public start_error {
public:
    using start_error::start_error;
};

/// Whom to become.
struct identity {
    std::string name;
    ::uid_t uid = 0;
    ::gid_t gid = 0;
};

/// Returns whom to become: `wanted`, or `tftp`, or `nobody` when started as root; empty when not
/// started as root, and when `wanted` is the user already: then nothing changes.
///
/// Throws privilege_error when the user does not exist, or `wanted` is another one and this process
/// is not root.
[[nodiscard]] std::optional<identity> choose_identity(const std::optional<std::string>& wanted);

/// Becomes `target` for good, if there is one: bounding set, where it may be emptied, supplementary
/// groups, group, user, in that order. Then gives up every capability, unless it still is root, and
/// sets no_new_privs. What is so already is not asked for: a container may have forbidden the
/// calls. Call after binding and before the first thread.
///
/// Throws privilege_error when any step fails.
void drop_privileges(const std::optional<identity>& target);

/// Throws privilege_error when this process may not bind `first`, the lowest port of a range: the
/// ports of transfers are bound after privileges are dropped.
void require_ports_from(std::uint16_t first);

/// Returns the name of the user that this process runs as, or the number of one without a name.
[[nodiscard]] std::string own_name();

/// Throws privilege_error when this process may not enter `directory`; the text names the first
/// directory on the way that it may not enter.
void require_entry(const std::string& directory);

/// Returns why `directory` cannot be opened, after open(2) has failed with `error`: the words of
/// the system, and which directory on the way may not be entered if that is why.
[[nodiscard]] std::string why_not_opened(const std::string& directory, int error);

/// Throws privilege_error when this process may not write to `directory`, or, if `listed`, not
/// list it.
void require_uploads(const std::string& directory, bool listed);

/// Throws privilege_error when this process may not find files in `directory`.
void require_search(const std::string& directory);

/// Returns why this process may not make files in `directory`, a text of the system; empty when it
/// may.
[[nodiscard]] std::optional<std::string> why_no_files(const std::string& directory);

/// Returns one line that warns when this process may not write to `directory` itself; empty when it
/// may. The line does not name the directory: it is for the log, too.
[[nodiscard]] std::optional<std::string> doubt_uploads(const std::string& directory);

} // namespace tftpd
