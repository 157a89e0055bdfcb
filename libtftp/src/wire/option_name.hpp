#pragma once

#include <tftp/wire/options.hpp>

#include <string_view>

namespace tftp::detail {

/// Returns the name of an option as its RFC spells it.
[[nodiscard]] constexpr std::string_view name_of(option which) noexcept {
    switch (which) {
    case option::blksize:
        return "blksize";
    case option::timeout:
        return "timeout";
    case option::tsize:
        return "tsize";
    case option::windowsize:
        return "windowsize";
    }
    return {};
}

} // namespace tftp::detail
