#pragma once

#include <cstddef>

namespace tftp::io {

/// Every bound of a server and its default. The table in docs/operations.md says the same.
struct limits {
    /// Transfers of one worker at the same time; a request beyond it is answered with ERROR 0.
    std::size_t transfers_max = 16384;
};

} // namespace tftp::io
