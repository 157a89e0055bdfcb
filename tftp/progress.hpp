#pragma once

#include <tftp/base/time.hpp>
#include <tftp/client/blocking.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace tftp::cli {

/// Returns a number of bytes for people: "0 B", "1023 B", "1.0 KiB", "4.2 GiB".
[[nodiscard]] std::string format_bytes(double bytes);

/// Returns a time for people: "0.004 s", "0.8 s", "12 s", "3 min 05 s".
[[nodiscard]] std::string format_seconds(duration d);

/// Returns bytes per second; 0 when no time has passed.
[[nodiscard]] double rate_of(std::uint64_t bytes, duration elapsed) noexcept;

/// Words the state of a transfer; knows no clock and no terminal.
class progress_meter {
public:
    /// name: as it is to be shown.
    progress_meter(std::string name, time_point now);

    /// Returns the line for `bytes` moved by `now`, at most `columns` bytes wide.
    ///
    /// total: all there is to move, when known. The rate is that of the last seconds.
    [[nodiscard]] std::string line(
        std::uint64_t bytes, std::optional<std::uint64_t> total, time_point now, std::size_t columns
    );

private:
    std::string name_;
    time_point seen_;
    std::uint64_t bytes_ = 0;
    double rate_ = 0;
    bool moving_ = false;
};

/// Ends a transfer at a signal, and shows its progress on a terminal.
class transfer_monitor final : public progress_monitor {
public:
    /// stop: becomes non-zero when the transfer is to end; borrowed.
    /// terminal: where progress is shown in one line that is written again and again; -1 for
    /// nowhere. total: bytes to move where this side knows better than the server.
    transfer_monitor(
        const std::atomic<int>& stop,
        int terminal,
        std::string name,
        std::optional<std::uint64_t> total
    );
    /// Clears the line.
    ~transfer_monitor() override;

    [[nodiscard]] bool
    on_progress(std::uint64_t bytes, std::optional<std::uint64_t> total) noexcept override;

private:
    void show(std::string line);

    const std::atomic<int>& stop_;
    int terminal_;
    std::optional<std::uint64_t> total_;
    progress_meter meter_;
    std::size_t shown_ = 0;
};

} // namespace tftp::cli
