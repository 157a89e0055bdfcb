#include "file/storage.hpp"

#include <cstdio>
#include <utility>

#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

namespace tftp {

namespace {

// Not in every <linux/magic.h>.
constexpr std::uint32_t bcachefs_magic = 0xca451a4e;
constexpr std::uint32_t exfat_magic = 0x2011bab0;
constexpr std::uint32_t fat_magic = 0x4d44;
constexpr std::uint32_t udf_magic = 0x15013346;
constexpr std::uint32_t xfs_magic = 0x58465342;
constexpr std::uint32_t zfs_magic = 0x2fc12fc1;

/// True since Linux 6.13: the kernel then reads a finer clock for a file whose stamps were looked
/// at, where the file system lets it. Nothing but the version tells; it is asked for at the start,
/// as a program that has confined itself may not ask any more.
const bool kernel_has_fine_stamps = [] {
    ::utsname about{};
    int major = 0;
    int minor = 0;
    return ::uname(&about) == 0 && std::sscanf(about.release, "%d.%d", &major, &minor) == 2 &&
           std::pair(major, minor) >= std::pair(6, 13);
}();

} // namespace

storage storage_of(int fd) noexcept {
    struct ::statfs about = {};
    if (::fstatfs(fd, &about) != 0) {
        return storage::remote;
    }
    switch (static_cast<std::uint32_t>(about.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        return storage::memory;
    case BTRFS_SUPER_MAGIC:
    case EROFS_SUPER_MAGIC_V1:
    case EXT4_SUPER_MAGIC: // and ext2, ext3
    case F2FS_SUPER_MAGIC:
    case ISOFS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case SQUASHFS_MAGIC:
    case bcachefs_magic:
    case exfat_magic:
    case fat_magic:
    case udf_magic:
    case xfs_magic:
    case zfs_magic:
        return storage::local;
    default:
        return storage::remote;
    }
}

bool has_fine_stamps(int fd) noexcept {
    struct ::statfs about = {};
    if (!kernel_has_fine_stamps || ::fstatfs(fd, &about) != 0) {
        return false;
    }
    switch (static_cast<std::uint32_t>(about.f_type)) {
    case BTRFS_SUPER_MAGIC:
    case EXT4_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case xfs_magic:
        return true;
    default:
        return false;
    }
}

} // namespace tftp
