#pragma once

#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace tftp::test {

/// The lines of a status file below /proc, by name.
using proc_status = std::map<std::string, std::string>;

/// Returns the status of every thread of a process.
[[nodiscard]] std::vector<proc_status> threads_of(::pid_t process);

/// Returns the process that `parent` started; 0 when there is none.
[[nodiscard]] ::pid_t child_of(::pid_t parent);

} // namespace tftp::test
