#pragma once

#include "arguments.hpp"
#include "report.hpp"

#include <atomic>

namespace tftp::cli {

/// Carries out the transfer that `asked` describes and tells how it went.
///
/// Tries the addresses of the host in order while they refuse or cannot be reached. terminal: a
/// descriptor to show progress on, -1 for none. stop: the number of a signal that came, 0 until
/// then; it ends the transfer, and the server is told.
[[nodiscard]] report execute(const arguments& asked, int terminal, const std::atomic<int>& stop);

} // namespace tftp::cli
