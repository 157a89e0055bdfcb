#pragma once

#include <tftp/wire/error.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace tftp::io {

/// Octets of a normalised name at most; less than PATH_MAX on any system.
inline constexpr std::size_t name_octets_max = 1024;
/// Octets of one component at most (NAME_MAX).
inline constexpr std::size_t component_octets_max = 255;
/// What the names of our temporary files begin with; a request can never name one.
inline constexpr std::string_view temporary_prefix = ".tftp-";

/// Turns a requested name into a relative path of plain components and writes it to `out`.
///
/// Backslashes become slashes; leading and repeated slashes and "." components go. Drive letters
/// and percent signs have no meaning. Returns the length; no NUL is added. out: may be smaller than
/// `name_octets_max`; a name that does not fit is refused. Errors: `errc::bad_name` for an empty
/// name, a ".." component, an octet below 0x20 or 0x7f, a component or a whole that is too long,
/// and the names of temporary files; `errc::not_regular` for a name that ends in a slash.
[[nodiscard]] result<std::size_t>
normalise_name(std::string_view requested, std::span<char> out) noexcept;

} // namespace tftp::io
