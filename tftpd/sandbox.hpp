#pragma once

#include "start_error.hpp"

#include <cstdint>
#include <vector>

namespace tftpd {

/// The process cannot be confined as it was told to be; `what()` is one line for the user.
class sandbox_error : public start_error {
public:
    using start_error::start_error;
};

/// What may be done below a directory once the process is confined.
enum class reach : std::uint8_t {
    /// Files and directories are read.
    read,
    /// Files are read, and made, written, replaced and removed.
    write,
    /// Files are made and written, not read: logs.
    append,
    /// Files without a name are made, written and read again.
    spool,
    /// As `spool`, where the file system has only files with names.
    named_spool,
};

/// What the process needs from now on; all else is taken from it.
struct confinement {
    /// One directory, with all that is or comes below it.
    struct directory {
        /// Borrowed; O_PATH does.
        int fd = -1;
        reach allowed = reach::read;
    };

    /// Nothing outside of these can be opened, made, renamed, linked or removed any more.
    std::vector<directory> directories;
    bool landlock = true;
    bool seccomp = true;
};

/// What is in force.
struct confined {
    /// Version of the kernel's interface of Landlock; 0: the directories are not enforced.
    int landlock = 0;
    bool seccomp = false;
};

/// Confines the calling thread, and all that it starts, for good. Call with no_new_privs set,
/// before the first thread.
///
/// Landlock: files outside of the directories cannot be opened, and TCP, abstract UNIX sockets and
/// signals to other processes are out of reach, as far as the kernel knows these rights.
/// A kernel without Landlock is no error, see confined::landlock.
/// seccomp: calls that only an intruder makes, such as execve, end the process by SIGSYS; all
/// others that tftpd does not make fail with EPERM. Sockets other than UDP, child processes and
/// executable memory are among these, and with no directory for `reach::write` all that changes
/// files is.
///
/// Throws sandbox_error when a mechanism that the kernel has fails.
[[nodiscard]] confined confine(const confinement& wanted);

/// Allows the calls that tftpd makes, and no other; the half of confine() that is seccomp's.
///
/// writes: calls that change files are among them. Throws sandbox_error.
void restrict_calls(bool writes);

/// Confines files, TCP, abstract UNIX sockets and signals; the half of confine() that is
/// Landlock's.
///
/// Returns the version of the kernel's interface, 0 when it has none. Throws sandbox_error.
[[nodiscard]] int restrict_reach(const std::vector<confinement::directory>& directories);

} // namespace tftpd
