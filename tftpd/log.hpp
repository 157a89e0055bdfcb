#pragma once

#include <tftp/driver/request.hpp>

#include <string>
#include <string_view>

namespace tftpd {

/// Returns `text` in double quotes with everything but printable ASCII escaped as in C: what peers
/// send must neither break a line nor drive a terminal.
[[nodiscard]] std::string quoted(std::string_view text);

/// Returns the line of a finished or refused transfer.
[[nodiscard]] std::string line_of(const tftp::io::transfer_summary& ended);

/// Lines on standard error with the time in front; a pipe that is closed, or full because nobody
/// reads it, loses lines, nothing else. Thread-safe.
class log {
public:
    /// verbose: size probes and superseded requests are logged too.
    explicit log(bool verbose);

    /// Logs a finished or refused transfer.
    void finished(const tftp::io::transfer_summary& ended) const noexcept;
};

} // namespace tftpd
