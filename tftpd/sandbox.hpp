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
/// A kernel without Landlock, or a container that hides some of its calls, is no error, see
/// confined::landlock.
/// seccomp: calls that only an intruder makes, such as execve, end the process by SIGSYS; all
/// others that tftpd does not make fail with EPERM. Sockets other than UDP, child processes and
/// executable memory are among these, and with no directory for `reach::write` all that changes
/// files is.
///
/// Throws sandbox_error when a mechanism that the kernel has fails.
[[nodiscard]] confined confine(const confinement& wanted);

/// What decides which calls a daemon makes.
struct call_needs {
    /// Calls that change files are among them. Without them files are opened for reading alone.
    bool writes = false;
    /// A file is opened again to be appended to: the log.
    bool appends = false;
    /// Landlock forbids what a filter cannot see: the flags of openat2.
    bool directories_enforced = false;
};

/// Allows the calls that tftpd makes, and no other; the half of confine() that is seccomp's.
///
/// Throws sandbox_error.
void restrict_calls(const call_needs& needs);

/// Where a filter refuses clone3 with EPERM, as those of containers do that are older than the
/// call, has it fail as if the kernel lacked it: the libc then starts threads by clone.
///
/// Call with no_new_privs set. Throws sandbox_error.
void hide_refused_clone3();

/// Confines files, TCP, abstract UNIX sockets and signals; the half of confine() that is
/// Landlock's.
///
/// Returns the version of the kernel's interface, 0 when it has none. Throws sandbox_error.
[[nodiscard]] int restrict_reach(const std::vector<confinement::directory>& directories);

} // namespace tftpd
