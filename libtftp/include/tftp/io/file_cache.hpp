#pragma once

#include <tftp/io/file_table.hpp>
#include <tftp/io/read_ahead.hpp>

namespace tftp::io {

/// What one thread keeps of the files it serves: shared descriptors and chunks read ahead.
/// Not thread-safe.
struct file_cache {
    // Sources drop their chunks when they end, so the chunks are destroyed last.
    read_ahead chunks;
    file_table files;
};

} // namespace tftp::io
