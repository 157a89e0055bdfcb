#pragma once

#include <cstdint>

namespace tftp {

/// Which symbolic links are followed on the way to a file.
enum class symlinks : std::uint8_t {
    /// None.
    no,
    /// Those that end beneath the root. An absolute target is read as the path that it spells, and
    /// when that does not lead beneath the root, as a path beneath the root.
    inside,
    /// All, as if the root were "/": an absolute target begins at the root, and ".." of the root
    /// is the root.
    chroot,
    /// As `inside`, and those that end beneath one of the link targets.
    follow,
};

} // namespace tftp
