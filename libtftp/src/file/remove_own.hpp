#pragma once

#include <sys/stat.h>

namespace tftp {

/// Returns true when `name` in `directory` is that file, and no link to it.
[[nodiscard]] bool names_file(int directory, const char* name, const struct ::stat& file) noexcept;

/// Takes the name `name` in `directory` away from the file `own`, and from no other one: what takes
/// the name at the same moment keeps it, or has it back at once.
void remove_own(int directory, const char* name, const struct ::stat& own) noexcept;

} // namespace tftp
