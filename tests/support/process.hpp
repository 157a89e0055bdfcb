#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/types.h>

namespace tftp::test {

/// What to run, and where.
struct command {
    /// argv[0] is searched for in PATH unless it holds a slash.
    std::vector<std::string> argv;
    /// NAME=value pairs added to our own environment, replacing equal names.
    std::vector<std::string> environment;
    /// Empty: our own working directory.
    std::filesystem::path working_directory;
    /// Borrowed descriptor that becomes the standard output; -1 collects it for output().
    int stdout_fd = -1;
    /// The same for the standard error and errors().
    int stderr_fd = -1;
};

/// The command as one line for messages.
[[nodiscard]] std::string to_string(const command& what);

/// A running program that never outlives this object.
///
/// The program leads its own process group and gets SIGKILL when the thread that started it ends.
/// The destructor kills the whole group and reaps every member, grandchildren included: the
/// constructor makes this process the subreaper of its descendants. Standard input is /dev/null.
/// Member functions may be called from one thread at a time.
class child_process {
public:
    /// Starts the program. Throws std::system_error when it cannot be started.
    explicit child_process(const command& what);
    ~child_process();
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    /// Process id of the program itself, also the id of its group.
    [[nodiscard]] pid_t id() const noexcept { return pid_; }

    /// Returns the first whole line of either stream that contains `part`, waiting at most `limit`.
    /// Empty when the time is over or both streams ended without such a line.
    [[nodiscard]] std::optional<std::string>
    wait_for_line(std::string_view part, std::chrono::milliseconds limit);

    /// Returns the exit code, or 128 + the signal that ended the program, waiting at most `limit`.
    /// Empty when it still runs then. All output written before the exit is collected on return.
    [[nodiscard]] std::optional<int> wait(std::chrono::milliseconds limit);

    /// Sends `signal_number` to the program; nothing happens once it was waited for.
    void send_signal(int signal_number) noexcept;

    /// What was written to the standard output so far.
    [[nodiscard]] std::string output() const;

    /// What was written to the standard error so far.
    [[nodiscard]] std::string errors() const;

private:
    struct stream {
        int fd = -1;
        std::string text;
    };

    void start(const command& what, int stdout_fd, int stderr_fd);
    void collect();
    bool read_available(stream& from);
    void stop_collecting() noexcept;

    pid_t pid_ = -1;
    int pidfd_ = -1;
    int stop_fd_ = -1;
    std::optional<int> status_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    stream out_;
    stream err_;
    bool ended_ = false;
    std::thread collector_;
};

/// How a program that was run to its end fared.
struct run_result {
    /// Exit code, or 128 + signal; empty when the time was over and the program was killed.
    std::optional<int> status;
    std::string output;
    std::string errors;
};

/// Runs a program to its end, or kills it after `limit`.
[[nodiscard]] run_result run(const command& what, std::chrono::milliseconds limit);

} // namespace tftp::test
