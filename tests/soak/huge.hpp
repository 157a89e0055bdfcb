#pragma once

namespace tftp::soak {

/// Moves a file of 4 GiB both ways, at blksize 512 in lockstep (128 rollovers) and at 65464 with
/// window 64, and compares every octet that arrives. Returns the exit status.
///
/// Takes 8 GiB of the temporary directory.
[[nodiscard]] int huge();

} // namespace tftp::soak
