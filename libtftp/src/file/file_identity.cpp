#include <tftp/file/file_identity.hpp>

#include <initializer_list>

namespace tftp {

namespace {

std::int64_t nanoseconds(const ::timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

} // namespace

file_identity identity_of(const struct ::stat& about) noexcept {
    return {
        about.st_dev,
        about.st_ino,
        static_cast<std::uint64_t>(about.st_size),
        nanoseconds(about.st_mtim),
        nanoseconds(about.st_ctim)};
}

std::size_t file_identity_hash::operator()(const file_identity& identity) const noexcept {
    // Inode and change time differ in their low bits; the odd factor (2^64 / golden ratio) spreads
    // them.
    std::uint64_t mixed = identity.inode;
    for (const std::uint64_t part :
         {identity.device,
          identity.size_bytes,
          static_cast<std::uint64_t>(identity.mtime_ns),
          static_cast<std::uint64_t>(identity.ctime_ns)}) {
        mixed = (mixed ^ part) * 0x9E3779B97F4A7C15U;
        mixed ^= mixed >> 32U;
    }
    return static_cast<std::size_t>(mixed);
}

} // namespace tftp
