#pragma once

#include <tftp/base/error.hpp>
#include <tftp/file/name_policy.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace tftp {

/// Longest name whose versions have names too: ".~4294967295~" goes behind it.
inline constexpr std::size_t versioned_name_max = component_octets_max - 13;

/// Returns true for the name of a version: NAME.~K~, K a number from 1 on (cp --backup=numbered).
[[nodiscard]] bool is_version_name(std::string_view name) noexcept;

/// One file that is about to give its name to another one by rename(2), or its content.
///
/// The old file can be kept as the version with the highest number: it gets that name, as a second
/// one, before it loses its own. So neither the name nor the last content is missing at any moment.
/// The caller sees to it that nobody else replaces files in the directory meanwhile.
class replacement {
public:
    /// directory, name: borrowed. versions_max: versions that are kept; 0 for none.
    replacement(int directory, const char* name, std::size_t versions_max) noexcept
        : directory_(directory), name_(name), versions_max_(versions_max) {}

    /// To be called before the rename.
    ///
    /// Errors: ENOENT when no file has the name, and it may be called again then; others as the
    /// system says.
    [[nodiscard]] error_code set_aside() noexcept;

    /// To be called before the content of the file is overwritten in place, instead of set_aside():
    /// makes the version by copying, unless the newest one has that content already. It gets what
    /// it can of owner, rights and time of the file.
    ///
    /// old: the file, opened for reading. about: what fstat(2) says of it. flush: the copy is on
    /// stable storage when it has its name. Errors: as the system says.
    [[nodiscard]] error_code copy_aside(int old, const struct ::stat& about, bool flush) noexcept;

    /// To be called when the rename failed, or nothing was overwritten.
    void undo() noexcept;

    /// To be called when the content was replaced: removes the versions that are too many.
    ///
    /// Returns the bytes that no longer have a name, those of the replaced file among them.
    [[nodiscard]] std::uint64_t finish() noexcept;

private:
    [[nodiscard]] error_code find_versions();
    [[nodiscard]] error_code add_version(const struct ::stat& old);
    [[nodiscard]] error_code add_copy(int old, const struct ::stat& about, bool flush);
    [[nodiscard]] error_code next_number(std::uint32_t& number) const noexcept;
    [[nodiscard]] bool newest_version(struct ::stat& about) const;

    int directory_;
    const char* name_;
    std::size_t versions_max_;
    /// Ascending.
    std::vector<std::uint32_t> versions_;
    bool added_ = false;
    std::uint64_t freed_ = 0;
};

} // namespace tftp
