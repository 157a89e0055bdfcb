#pragma once

#include <cstddef>

namespace tftp::io {

/// Every bound of a server and its default. The table in docs/operations.md says the same.
struct limits {
    /// Transfers of one worker at the same time; a request beyond it is answered with ERROR 0,
    /// unless a half-open one can make room.
    std::size_t transfers_max = 16384;
    /// Of these, transfers whose client has not answered yet; the oldest makes room for a new one,
    /// so a flood of requests from addresses that never answer shuts nobody out.
    std::size_t half_open_max = 4096;
};

} // namespace tftp::io
