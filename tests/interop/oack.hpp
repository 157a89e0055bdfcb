#pragma once

#include <map>
#include <string>

namespace tftp::test {

/// Returns the options of an OACK or of a request, names in lower case as the peers send them.
///
/// Empty for any other datagram: a server that grants nothing answers with DATA or ACK. Written
/// apart from our own decoder, so that it does not share its errors.
[[nodiscard]] std::map<std::string, std::string> options_in(const std::string& datagram);

} // namespace tftp::test
