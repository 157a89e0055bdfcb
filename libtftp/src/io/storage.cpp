#include "storage.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>

namespace tftp::io {

namespace {

// Not in every <linux/magic.h>.
constexpr std::uint32_t bcachefs_magic = 0xca451a4e;
constexpr std::uint32_t exfat_magic = 0x2011bab0;
constexpr std::uint32_t fat_magic = 0x4d44;
constexpr std::uint32_t udf_magic = 0x15013346;
constexpr std::uint32_t xfs_magic = 0x58465342;
constexpr std::uint32_t zfs_magic = 0x2fc12fc1;

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

} // namespace tftp::io
