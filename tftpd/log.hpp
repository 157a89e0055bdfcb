#pragma once

#include "log_file.hpp"
#include "log_gate.hpp"

#include <tftp/transfer/summary.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace tftpd {

class log_sink;

/// Bytes of one quoted text in a line, escapes included.
inline constexpr std::size_t quoted_bytes_max = 256;

/// Returns `text` in double quotes with everything but printable ASCII escaped as in C: what peers
/// send must neither break a line nor drive a terminal. What would make more than
/// `quoted_bytes_max` between the quotes is cut off, which three dots behind them show: a log is no
/// place for what anybody may send.
[[nodiscard]] std::string quoted(std::string_view text);

/// Returns the line of a finished or refused transfer.
[[nodiscard]] std::string line_of(const tftp::transfer_summary& ended);

/// Lines on standard error or in a file, with the time in front; what does not take them at once,
/// such as a pipe that nobody reads, loses lines, nothing else. Thread-safe but for reopen().
class log {
public:
    /// verbose: size probes and superseded requests are logged too. file: empty for standard error.
    explicit log(bool verbose, std::optional<log_file> file = std::nullopt);

    /// Logs a finished or refused transfer, unless `log_gate` leaves it out.
    void finished(const tftp::transfer_summary& ended) noexcept;

    /// Logs what the program has to say of itself.
    void say(std::string_view text) const noexcept;

    /// Goes on in the file that has the name now. Where it cannot be opened the old one is kept,
    /// and says so; without a file a line says that there is nothing to open. One thread at a time.
    void reopen() noexcept;

    /// Returns the directory of the file (O_PATH); empty without one.
    [[nodiscard]] std::optional<int> directory() const noexcept;

private:
    std::optional<log_file> file_;
    std::shared_ptr<log_sink> sink_;
    /// Of the gate; apart, so that a log can be returned from a function.
    std::unique_ptr<std::mutex> mutex_;
    log_gate gate_;
};

} // namespace tftpd
