#include "arguments.hpp"
#include "execute.hpp"
#include "report.hpp"

#include <tftp/version.hpp>

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <span>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace tftp;

/// The signal that ends the transfer, 0 until one came.
std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler stores it");

constexpr std::array stopping_signals{SIGINT, SIGTERM, SIGHUP};

/// The first signal ends the transfer in order, the second, of whatever kind, the program as it
/// stands.
extern "C" void on_signal(int number) {
    int none = 0;
    if (!stop_signal.compare_exchange_strong(none, number)) {
        std::signal(number, SIG_DFL);
        std::raise(number);
    }
}

void install_signal_handlers() noexcept {
    for (const int number : stopping_signals) {
        struct ::sigaction action = {};
        // Keeps what nohup(1) and shells without job control ignore.
        if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
            continue;
        }
        action = {};
        action.sa_handler = on_signal;
        ::sigaction(number, &action, nullptr);
    }
    // A reader that goes away is an error of writing: the server is told.
    struct ::sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
}

/// Ends the program by the signal that ended the transfer: a shell then ends its loop too, which it
/// does not do for an exit status.
void die_of(int number) noexcept {
    std::signal(number, SIG_DFL);
    std::raise(number);
}

[[nodiscard]] int to_int(tftp::exit_code code) noexcept {
    return static_cast<int>(code);
}

/// Prints on standard output. Returns the exit status: a full disk is no success.
[[nodiscard]] tftp::exit_code print(const std::string& text) {
    const bool written =
        std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!written) {
        std::perror("tftp: standard output");
    }
    return written ? tftp::exit_code::ok : tftp::exit_code::other;
}

/// Prints one line on standard error.
void tell(const std::string& line) {
    if (!line.empty()) {
        std::fputs(("tftp: " + line + '\n').c_str(), stderr);
    }
}

/// Takes a name that leads to the file of standard output, as /dev/stdout does, for standard
/// output: that file is to be written to, not to be replaced.
void recognise_standard_output(cli::arguments& asked) {
    struct ::stat named = {};
    struct ::stat output = {};
    const bool same = asked.verb == transfer_direction::read &&
                      ::stat(asked.local.c_str(), &named) == 0 &&
                      ::fstat(STDOUT_FILENO, &output) == 0 && S_ISREG(named.st_mode) &&
                      named.st_dev == output.st_dev && named.st_ino == output.st_ino;
    if (same && asked.json) {
        throw cli::usage_error("the file and --json cannot both go to standard output");
    }
    if (same) {
        asked.local.clear();
    }
}

[[nodiscard]] tftp::exit_code transfer(const cli::arguments& asked) {
    const int terminal = !asked.quiet && ::isatty(STDERR_FILENO) == 1 ? STDERR_FILENO : -1;
    const cli::report r = cli::execute(asked, terminal, stop_signal);
    if (r.code != tftp::exit_code::ok) {
        tell(cli::error_line(r));
    } else if (!asked.quiet) {
        tell(cli::refusal_line(r));
        std::fputs((cli::summary_line(r) + '\n').c_str(), stderr);
    }
    tftp::exit_code printed = tftp::exit_code::ok;
    if (asked.json) {
        printed = print(cli::json_object(r) + '\n');
    }
    // Also what the signal interrupted before the transfer began, such as the opening of a FIFO.
    if (const int number = stop_signal; number != 0 && r.code != tftp::exit_code::ok) {
        die_of(number);
    }
    return r.code == tftp::exit_code::ok ? printed : r.code;
}

[[nodiscard]] tftp::exit_code run(std::span<const char* const> words) {
    if (words.empty()) {
        std::fputs(std::string(cli::usage_text()).c_str(), stderr);
        return tftp::exit_code::usage;
    }
    cli::arguments asked = cli::parse_arguments(words);
    switch (asked.action) {
    case cli::action::show_help:
        return print(cli::help_text());
    case cli::action::show_version:
        return print(fmt::format("tftp {}\n", tftp::version));
    case cli::action::transfer:
        break;
    }
    install_signal_handlers();
    recognise_standard_output(asked);
    return transfer(asked);
}

} // namespace

int main(int argc, char** argv) {
    try {
        const std::span words(argv, static_cast<std::size_t>(argc));
        return to_int(run(words.subspan(argc > 0 ? 1 : 0)));
    } catch (const cli::usage_error& wrong) {
        tell(std::string(wrong.what()) + "; see 'tftp --help'");
        return to_int(tftp::exit_code::usage);
    } catch (const std::exception& failed) {
        tell(failed.what());
        return to_int(tftp::exit_code::other);
    }
}
