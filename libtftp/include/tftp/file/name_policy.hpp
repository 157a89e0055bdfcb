#pragma once

#include <tftp/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tftp {

/// Bytes of a normalised name at most; less than PATH_MAX on any system.
inline constexpr std::size_t name_octets_max = 1024;
/// Bytes of one component at most (NAME_MAX).
inline constexpr std::size_t component_octets_max = 255;
/// What the names of our temporary files begin with; a request can never name one, nor what a file
/// system that folds case takes for one.
inline constexpr std::string_view temporary_prefix = ".tftp-";

/// What separates the components of a requested name.
enum class separators : std::uint8_t {
    /// Slashes; a backslash is an octet of a name.
    slashes,
    /// Slashes and backslashes.
    both,
};

/// Turns a requested name into a relative path of plain components and ".." and writes it to `out`.
///
/// Separators become slashes; leading and repeated ones and "." components go. Drive letters and
/// percent signs have no meaning. A ".." component stays, as what it leads to depends on links; the
/// first component is never one. Returns the length; no NUL is added. out: may be smaller than
/// `name_octets_max`; a name that does not fit is refused. Errors: `errc::bad_name` for an empty
/// name, a ".." in front, an octet below 0x20 or 0x7f, a component or a whole that is too long, and
/// the names of temporary files; `errc::not_regular` for a name that ends in a separator or "..".
[[nodiscard]] result<std::size_t> normalise_name(
    std::string_view requested, std::span<char> out, separators between = separators::both
) noexcept;

/// Returns true when a normalised name has more ".." than components in front of one: without
/// links it leads out.
[[nodiscard]] bool climbs_out(std::string_view name) noexcept;

/// Returns what stands behind `directory` in a normalised name, the path of the directory in the
/// same form; empty when the name is that path itself. Returns a view without data when the name
/// does not begin with that path.
[[nodiscard]] std::string_view
name_behind(std::string_view name, std::string_view directory) noexcept;

/// Returns the lane of `thread_pool` for the look-up of a requested name: that of its top
/// directory, since file systems are mounted in such places.
///
/// All spellings by which a client may reach one directory have the same: slashes, "." and "..",
/// letter case. Names with bytes beyond US-ASCII share one lane, since it is not known how a file
/// system folds them; so no directory has more than two. Never 0.
[[nodiscard]] std::uint64_t name_lane(std::string_view requested) noexcept;

} // namespace tftp
