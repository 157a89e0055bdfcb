#include "support/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace tftp::test {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::system_category(), what};
}

void close_if_open(int& fd) noexcept {
    if (fd >= 0) {
        ::close(fd);
        fd = -1;
    }
}

std::string_view name_of(std::string_view variable) {
    return variable.substr(0, variable.find('='));
}

std::vector<std::string> merged_environment(const std::vector<std::string>& added) {
    std::vector<std::string> merged = added;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        bool replaced = false;
        for (const std::string& ours : added) {
            replaced = replaced || name_of(ours) == name_of(*variable);
        }
        if (!replaced) {
            merged.emplace_back(*variable);
        }
    }
    return merged;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (std::string& text : strings) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

std::string find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) {
        return name;
    }
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
    while (!rest.empty()) {
        const std::size_t end = rest.find(':');
        const std::string candidate = std::string{rest.substr(0, end)} + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) {
            return candidate;
        }
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return name;
}

int status_of(int wait_status) noexcept {
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail("pipe2");
    }
    return ends;
}

} // namespace

std::string to_string(const command& what) {
    std::string line;
    for (const std::string& word : what.argv) {
        line += (line.empty() ? "" : " ") + word;
    }
    return line;
}

child_process::child_process(const command& what) {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        fail("prctl PR_SET_CHILD_SUBREAPER");
    }
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    const std::array<int, 2> err = make_pipe();
    const std::array<int, 2> out = make_pipe();
    out_.fd = out[0];
    err_.fd = err[0];
    start(
        what,
        what.stdout_fd >= 0 ? what.stdout_fd : out[1],
        what.stderr_fd >= 0 ? what.stderr_fd : err[1]
    );
    ::close(out[1]);
    ::close(err[1]);
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pidfd_ < 0) {
        fail("pidfd_open");
    }
    collector_ = std::thread{[this] { collect(); }};
}

void child_process::start(const command& what, int stdout_fd, int stderr_fd) {
    // Everything that allocates happens before fork: another thread may hold the heap's lock.
    std::vector<std::string> arguments = what.argv;
    std::vector<std::string> environment = merged_environment(what.environment);
    const std::vector<char*> argv = pointers(arguments);
    const std::vector<char*> envp = pointers(environment);
    const std::string program = find_program(what.argv.at(0));
    const std::string directory = what.working_directory.string();
    const std::array<int, 2> failure = make_pipe();
    const pid_t parent = ::getpid();

    pid_ = ::fork();
    if (pid_ < 0) {
        fail("fork");
    }
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::setpgid(0, 0);
        const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        const bool ready = ::getppid() == parent && ::dup2(null_fd, STDIN_FILENO) >= 0 &&
                           ::dup2(stdout_fd, STDOUT_FILENO) >= 0 &&
                           ::dup2(stderr_fd, STDERR_FILENO) >= 0 &&
                           (directory.empty() || ::chdir(directory.c_str()) == 0);
        if (ready) {
            ::execve(program.c_str(), argv.data(), envp.data());
        }
        const int reason = errno;
        [[maybe_unused]] const ssize_t told = ::write(failure[1], &reason, sizeof reason);
        ::_exit(127);
    }
    ::setpgid(pid_, pid_); // Both sides do it: whoever comes first, the group exists from here on.
    ::close(failure[1]);
    int reason = 0;
    const ssize_t got = ::read(failure[0], &reason, sizeof reason);
    ::close(failure[0]);
    if (got > 0) {
        ::waitpid(pid_, nullptr, 0);
        throw std::system_error{reason, std::system_category(), program};
    }
}

child_process::~child_process() {
    if (!status_) {
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    // Members of the group whose parent is gone are our children now; others become so as their
    // parents, killed as well, are reaped.
    ::kill(-pid_, SIGKILL);
    while (::waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
    }
    stop_collecting();
    close_if_open(out_.fd);
    close_if_open(err_.fd);
    close_if_open(pidfd_);
    close_if_open(stop_fd_);
}

void child_process::stop_collecting() noexcept {
    if (collector_.joinable()) {
        ::eventfd_write(stop_fd_, 1);
        collector_.join();
    }
}

bool child_process::read_available(stream& from) {
    std::array<char, 16384> buffer;
    const ssize_t got = ::read(from.fd, buffer.data(), buffer.size());
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    const std::scoped_lock lock{mutex_};
    from.text.append(buffer.data(), static_cast<std::size_t>(got));
    changed_.notify_all();
    return got > 0;
}

void child_process::collect() {
    bool stopping = false;
    bool out_open = true;
    bool err_open = true;
    while (out_open || err_open) {
        std::array<pollfd, 3> set{
            pollfd{out_open ? out_.fd : -1, POLLIN, 0},
            pollfd{err_open ? err_.fd : -1, POLLIN, 0},
            pollfd{stopping ? -1 : stop_fd_, POLLIN, 0}};
        // After the program's end a grandchild may hold the pipes open: what is in them is taken
        // without waiting for more.
        const int ready = ::poll(set.data(), set.size(), stopping ? 0 : -1);
        if (ready == 0) {
            break;
        }
        stopping = stopping || set[2].revents != 0;
        if (set[0].revents != 0) {
            out_open = read_available(out_);
        }
        if (set[1].revents != 0) {
            err_open = read_available(err_);
        }
    }
    const std::scoped_lock lock{mutex_};
    ended_ = true;
    changed_.notify_all();
}

std::optional<std::string>
child_process::wait_for_line(std::string_view part, std::chrono::milliseconds limit) {
    const auto find_in = [part](const std::string& text) -> std::optional<std::string> {
        const std::size_t hit = text.find(part);
        const std::size_t end = hit == std::string::npos ? hit : text.find('\n', hit);
        if (end == std::string::npos) {
            return std::nullopt;
        }
        const std::size_t before = text.rfind('\n', hit);
        const std::size_t begin = before == std::string::npos ? 0 : before + 1;
        return text.substr(begin, end - begin);
    };
    std::optional<std::string> line;
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, limit, [&] {
        line = find_in(err_.text);
        if (!line) {
            line = find_in(out_.text);
        }
        return line.has_value() || ended_;
    });
    return line;
}

std::optional<int> child_process::wait(std::chrono::milliseconds limit) {
    if (status_) {
        return status_;
    }
    const auto deadline = std::chrono::steady_clock::now() + limit;
    pollfd waited{pidfd_, POLLIN, 0};
    int ready = -1;
    do {
        const auto left = std::max(
            std::chrono::nanoseconds{0},
            std::chrono::nanoseconds{deadline - std::chrono::steady_clock::now()}
        );
        const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
        ready = ::ppoll(&waited, 1, &timeout, nullptr);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return std::nullopt;
    }
    int wait_status = 0;
    ::waitpid(pid_, &wait_status, 0);
    status_ = status_of(wait_status);
    stop_collecting();
    return status_;
}

void child_process::send_signal(int signal_number) noexcept {
    if (!status_) {
        ::kill(pid_, signal_number);
    }
}

std::string child_process::output() const {
    const std::scoped_lock lock{mutex_};
    return out_.text;
}

std::string child_process::errors() const {
    const std::scoped_lock lock{mutex_};
    return err_.text;
}

run_result run(const command& what, std::chrono::milliseconds limit) {
    child_process child{what};
    const std::optional<int> status = child.wait(limit);
    return {status, child.output(), child.errors()};
}

} // namespace tftp::test
