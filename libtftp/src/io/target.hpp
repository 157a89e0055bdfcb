#pragma once

#include <tftp/io/file_sink.hpp>
#include <tftp/io/unique_fd.hpp>
#include <tftp/wire/error.hpp>

namespace tftp::io {

/// Opens the directory the target is to appear in (O_PATH). Errors as `open_beneath`.
[[nodiscard]] result<unique_fd> open_parent(const file_target& target) noexcept;

/// Returns the last component of the target's path. Lifetime: that of the target.
[[nodiscard]] const char* base_name(const file_target& target) noexcept;

} // namespace tftp::io
