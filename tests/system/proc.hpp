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

} // namespace tftp::test
