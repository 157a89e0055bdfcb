#include "log.hpp"

#include "log_sink.hpp"

#include <tftp/socket/socket_address.hpp>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include <unistd.h>

namespace tftpd {

namespace {

/// Firmware and reset machines end transfers like this every day, and a flood of requests that
/// nobody acknowledges a thousand times a second.
[[nodiscard]] bool ordinary(const tftp::error_code& outcome) noexcept {
    return outcome == tftp::errc::size_probe || outcome == tftp::errc::superseded ||
           outcome == tftp::errc::crowded_out;
}

[[nodiscard]] std::string result_of(const tftp::transfer_summary& ended) {
    if (!ended.outcome) {
        return "ok";
    }
    if (ended.outcome == tftp::errc::timed_out && ended.send_error) {
        return fmt::format("timed out: sending failed: {}", ended.send_error.message());
    }
    if (ended.outcome == tftp::errc::timed_out && ended.counters.all_sent) {
        return "timed out: all was sent, the last ACK never came";
    }
    if (ended.outcome.category() == tftp::peer_category()) {
        return ended.peer_text.empty()
                   ? fmt::format("client: error {}", ended.outcome.value())
                   : fmt::format(
                         "client: error {} {}", ended.outcome.value(), quoted(ended.peer_text)
                     );
    }
    return ended.outcome.message();
}

[[nodiscard]] std::string rate_of(const tftp::transfer_summary& ended, double seconds) {
    if (seconds <= 0) {
        return "-";
    }
    constexpr double mebi = 1024 * 1024;
    return fmt::format("{:.2f} MiB/s", static_cast<double>(ended.counters.bytes) / mebi / seconds);
}

} // namespace

std::string quoted(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        std::array<char, 4> escaped = {c};
        std::size_t size = 1;
        if (c == '"' || c == '\\') {
            escaped = {'\\', c};
            size = 2;
        } else if (c < ' ' || c > '~') {
            escaped = {'\\', 'x', digits[byte >> 4U], digits[byte & 0xfU]};
            size = 4;
        }
        if (out.size() - 1 + size > quoted_bytes_max) {
            return out += "\"...";
        }
        out.append(escaped.data(), size);
    }
    return out += '"';
}

std::string line_of(const tftp::transfer_summary& ended) {
    const double seconds = std::chrono::duration<double>(ended.elapsed).count();
    return fmt::format(
        "{} {} {} {} bytes {:.3f} s {} blksize {} windowsize {} retransmitted {} {}",
        tftp::to_string(ended.peer),
        ended.verb == tftp::transfer_direction::read ? "read" : "write",
        quoted(ended.filename),
        ended.counters.bytes,
        seconds,
        rate_of(ended, seconds),
        ended.agreed.blksize,
        ended.agreed.windowsize,
        ended.counters.retransmissions,
        result_of(ended)
    );
}

log::log(bool verbose, std::optional<log_file> file)
    : file_(std::move(file)),
      sink_(std::make_shared<log_sink>(file_ ? file_->get() : STDERR_FILENO)),
      mutex_(std::make_unique<std::mutex>()),
      gate_(tftp::limits().log_lines_per_second, tftp::clock::now()) {
    auto logger = std::make_shared<spdlog::logger>("tftpd", sink_);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %v");
    logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
    // Out of memory: the line is lost; there is nowhere left to say so.
    logger->set_error_handler([](const std::string&) {});
    spdlog::set_default_logger(std::move(logger));
}

void log::finished(const tftp::transfer_summary& ended) noexcept {
    try {
        const auto level = ordinary(ended.outcome) ? spdlog::level::debug : spdlog::level::info;
        const bool wanted = spdlog::should_log(level);
        const log_gate::decision what = [&] {
            const std::lock_guard lock(*mutex_);
            return gate_.decide(ended, wanted, tftp::clock::now());
        }();
        if (what.over) {
            say(fmt::format(
                "no shortage any more; it was met {} times: {}",
                what.over->met,
                what.over->why.message()
            ));
        }
        if (what.left_out != 0) {
            say(fmt::format("{} lines left out: too many in a second", what.left_out));
        }
        if (what.line) {
            spdlog::log(level, "{}", line_of(ended));
        }
        if (what.begun) {
            say(fmt::format("shortage: {} (said once until it is over)", what.begun->message()));
        }
    } catch (...) {
        // Out of memory: the line is lost, the service goes on.
    }
}

void log::say(std::string_view text) const noexcept {
    try {
        spdlog::info("tftpd: {}", text);
    } catch (...) {
        // As above.
    }
}

void log::reopen() noexcept {
    if (!file_) {
        say("SIGHUP: there is no log file to open again");
        return;
    }
    const auto old = file_->reopen();
    if (!old) {
        try {
            say(fmt::format(
                "SIGHUP: going on in the old log file, the new one cannot be opened: {}",
                old.error().message()
            ));
        } catch (const std::bad_alloc&) {
            say("SIGHUP: going on in the old log file");
        }
        return;
    }
    sink_->redirect(file_->get());
    say("SIGHUP: the log file is open again");
}

std::optional<int> log::directory() const noexcept {
    return file_ ? std::optional(file_->directory()) : std::nullopt;
}

} // namespace tftpd
