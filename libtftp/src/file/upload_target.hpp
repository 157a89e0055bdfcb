#pragma once

#include "file/beneath.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>
#include <tftp/file/file_sink.hpp>

namespace tftp {

/// Returns how the path of `target` is resolved. Lifetime: that of the target.
[[nodiscard]] beneath_options resolution_of(const file_target& target) noexcept;

/// As `resolution_of`, for a target that is a link: what it leads to may be mounted elsewhere.
[[nodiscard]] beneath_options resolution_of_link(const file_target& target) noexcept;

/// Opens the directory the target is to appear in (O_PATH). patient: see `beneath_options`. Errors
/// as `open_beneath`.
[[nodiscard]] result<unique_fd>
open_parent(const file_target& target, bool patient = false) noexcept;

/// Returns the last component of the target's path. Lifetime: that of the target.
[[nodiscard]] const char* base_name(const file_target& target) noexcept;

} // namespace tftp
