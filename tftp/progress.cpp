#include "progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <new>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

namespace tftp::cli {

namespace {

/// How far back the shown rate looks: long enough to read the figure, short enough to see a stall.
constexpr std::chrono::duration<double> rate_memory = std::chrono::seconds(2);

constexpr std::size_t columns_default = 80;

/// An estimate beyond it says nothing.
constexpr double seconds_left_max = 100.0 * 3600;

[[nodiscard]] std::string format_clock(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
    if (whole >= 3600) {
        return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    }
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// Cuts at an octet that does not begin in the midst of a UTF-8 character.
void cut(std::string& text, std::size_t size) {
    if (text.size() <= size) {
        return;
    }
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80) {
        --size;
    }
    text.resize(size);
}

[[nodiscard]] std::size_t columns_of(int terminal) noexcept {
    ::winsize size{};
    return ::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col
                                                                        : columns_default;
}

} // namespace

std::string format_bytes(double bytes) {
    static constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    // 1023.96 KiB would be shown as 1024.0.
    while (bytes >= (unit == 0 ? 1023.5 : 1023.95) && unit + 1 < units.size()) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{:.0f} B", bytes)
                     : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string format_seconds(duration d) {
    const double seconds = std::chrono::duration<double>(d).count();
    if (seconds < 0.0995) {
        return fmt::format("{:.3f} s", seconds);
    }
    if (seconds < 9.95) {
        return fmt::format("{:.1f} s", seconds);
    }
    const auto whole = std::llround(seconds);
    return whole < 60 ? fmt::format("{} s", whole)
                      : fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

double rate_of(std::uint64_t bytes, duration elapsed) noexcept {
    const double seconds = std::chrono::duration<double>(elapsed).count();
    return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
}

progress_meter::progress_meter(std::string name, time_point now)
    : name_(std::move(name)), seen_(now) {}

std::string progress_meter::line(
    std::uint64_t bytes, std::optional<std::uint64_t> total, time_point now, std::size_t columns
) {
    const std::chrono::duration<double> passed = now - seen_;
    if (passed.count() > 0) {
        // A second attempt, without options, begins at 0 again.
        const std::uint64_t moved = bytes > bytes_ ? bytes - bytes_ : 0;
        const double rate = static_cast<double>(moved) / passed.count();
        const double weight = moving_ ? 1 - std::exp(-passed / rate_memory) : 1;
        rate_ += weight * (rate - rate_);
        moving_ = moving_ || moved != 0;
        seen_ = now;
        bytes_ = bytes;
    }
    std::string figures;
    const auto done = static_cast<double>(bytes);
    if (total && *total >= bytes && *total != 0) {
        const auto all = static_cast<double>(*total);
        figures = fmt::format(
            "  {:3.0f}%  {} of {}  {}/s",
            std::floor(100 * done / all),
            format_bytes(done),
            format_bytes(all),
            format_bytes(rate_)
        );
        const double left = rate_ > 0 ? (all - done) / rate_ : seconds_left_max;
        figures += left < seconds_left_max ? "  " + format_clock(left) + " left" : "  stalled";
    } else {
        figures = fmt::format("  {}  {}/s", format_bytes(done), format_bytes(rate_));
    }
    std::string text = name_;
    cut(text, columns > figures.size() ? columns - figures.size() : 0);
    text += figures;
    cut(text, columns);
    return text;
}

transfer_monitor::transfer_monitor(
    const std::atomic<int>& stop, int terminal, std::string name, std::optional<std::uint64_t> total
)
    : stop_(stop), terminal_(terminal), total_(total), meter_(std::move(name), clock::now()) {}

transfer_monitor::~transfer_monitor() {
    if (shown_ != 0) {
        try {
            show({});
        } catch (const std::bad_alloc&) { // the line stays
        }
    }
}

bool transfer_monitor::on_progress(
    std::uint64_t bytes, std::optional<std::uint64_t> total
) noexcept {
    if (stop_.load() != 0) {
        return false;
    }
    if (terminal_ >= 0) {
        try {
            // Without the last column: some terminals go to the next line there.
            show(
                meter_.line(bytes, total_ ? total_ : total, clock::now(), columns_of(terminal_) - 1)
            );
        } catch (const std::bad_alloc&) { // a line of progress is not worth a transfer
        }
    }
    return true;
}

void transfer_monitor::show(std::string line) {
    const std::size_t size = line.size();
    // Blanks instead of an escape sequence: understood by every terminal.
    if (size < shown_) {
        line.append(shown_ - size, ' ');
    }
    line.insert(line.begin(), '\r');
    if (size == 0) {
        line += '\r';
    }
    shown_ = size;
    // What the terminal did not take will be written again in a moment.
    [[maybe_unused]] const ::ssize_t written = ::write(terminal_, line.data(), line.size());
}

} // namespace tftp::cli
