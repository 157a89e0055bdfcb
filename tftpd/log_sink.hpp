#pragma once

#include <tftp/base/unique_fd.hpp>

#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <mutex>
#include <string_view>

namespace tftpd {

/// Writes log lines to a descriptor without ever waiting for whoever reads them.
///
/// A line that the descriptor does not take at once is dropped; how many were is the line before
/// the next one that it takes. A line has at most PIPE_BUF bytes, so that lines of several
/// programs do not mix in a pipe. O_NONBLOCK is not set: it would hold for everybody who has the
/// same file open, such as the shell. A terminal, which is ready with less room than a line takes,
/// is opened once more for it. Thread-safe.
class log_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    /// fd: borrowed.
    explicit log_sink(int fd) noexcept;

    /// Writes the lines that follow to `fd`, borrowed. On return no thread uses the old one.
    void redirect(int fd);

private:
    void sink_it_(const spdlog::details::log_msg& message) override;

    void flush_() override {}

    [[nodiscard]] bool tell_losses(const spdlog::details::log_msg& next);
    [[nodiscard]] bool write(const spdlog::details::log_msg& message);
    [[nodiscard]] bool write_line(std::string_view line) noexcept;

    tftp::unique_fd terminal_;
    int fd_;
    /// A file took only a part of the last line.
    bool torn_ = false;
    std::uint64_t lost_ = 0;
};

} // namespace tftpd
