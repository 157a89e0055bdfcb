#pragma once

#include <string>
#include <string_view>

namespace example {

/// Returns `text` with a '?' for each octet that is not printable ASCII: what a stranger sent must
/// not move the cursor of a terminal.
[[nodiscard]] inline std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        c = c < ' ' || c > '~' ? '?' : c;
    }
    return out;
}

} // namespace example
