#pragma once

#include <tftp/base/error.hpp>

namespace tftp {

/// How much of what a file is beside its content another one has got.
struct kept_attributes {
    /// Owner and group are the same.
    bool owner = false;
    /// No error: permission bits, ACL and extended attributes are the same.
    error_code others;

    [[nodiscard]] bool all() const noexcept { return owner && !others; }
};

/// Gives `to` the owner, the group, the permission bits, the ACL and the extended attributes of
/// `from`, as far as this process may.
///
/// Set-user-ID, set-group-ID and capabilities are left out: a write takes them away, too. Where the
/// group cannot be had, the new group gets no more than what everybody has. from, to: opened for
/// reading or writing. May block.
[[nodiscard]] kept_attributes copy_attributes(int from, int to) noexcept;

} // namespace tftp
