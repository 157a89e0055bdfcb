#pragma once

#include <string>
#include <string_view>

namespace tftp::cli {

/// Returns `text` so that a terminal shows it and obeys nothing in it.
///
/// Control bytes, C1 controls, bytes that are no UTF-8, and the characters that turn the writing
/// direction become \xHH, octet by octet; a backslash becomes two. Other UTF-8 stays.
[[nodiscard]] std::string escape_for_terminal(std::string_view text);

/// Returns `text` as a JSON string, quotes included.
///
/// Bytes that are no UTF-8 become U+FFFD, because JSON cannot carry them. RFC 8259 s.7.
[[nodiscard]] std::string json_string(std::string_view text);

} // namespace tftp::cli
