#include "config.hpp"
#include "log.hpp"
#include "privileges.hpp"
#include "sandbox.hpp"
#include "start_checks.hpp"
#include "start_error.hpp"
#include "top_level.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/file/directory_provider.hpp>
#include <tftp/file/export_root.hpp>
#include <tftp/server/async/server.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/version.hpp>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <link.h>
#include <malloc.h>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr int exit_failed = 1;
constexpr int exit_cannot_start = 2;

/// A port for each transfer takes this part of the descriptors at most: an upload has two of a
/// file.
constexpr std::size_t ports_part = 4;

/// How long the end takes at most once transfers are ended: a stop waits for commits, and then for
/// disks, and all of it is to be over within a second.
constexpr auto stop_limit = std::chrono::milliseconds(950);
constexpr auto disk_patience = std::chrono::milliseconds(200);

/// What has to be left of the descriptors when all is set up: an upload and a download take eight
/// at most, and every thread may keep a port and two files besides.
constexpr std::size_t descriptors_least = 8;
constexpr std::size_t descriptors_of_thread = 4;

/// Prints on standard output. Throws std::system_error: a full disk is no success.
void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        throw std::system_error(errno, std::generic_category(), "standard output");
    }
}

/// Opens a directory, as a place only. what_for: for the text of the error.
[[nodiscard]] tftp::unique_fd open_directory(const std::string& path, const char* what_for) {
    tftp::unique_fd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        throw tftpd::start_error(
            fmt::format("cannot {} {}: {}", what_for, path, tftpd::why_not_opened(path, errno))
        );
    }
    return directory;
}

[[nodiscard]] tftp::export_root
open_root(const std::string& directory, const tftp::access_policy& access) {
    // For their own words: what export_root says could be of any of them.
    static_cast<void>(open_directory(directory, "serve"));
    for (const std::string& each : access.link_targets) {
        static_cast<void>(open_directory(each, "follow links to"));
    }
    auto root = tftp::export_root::open(directory.c_str(), access);
    if (!root) {
        throw tftpd::start_error(
            fmt::format("cannot serve {}: {}", directory, root.error().message())
        );
    }
    return std::move(*root);
}

/// Returns whether uploads may have to be collected in another directory than their own.
[[nodiscard]] bool spools(const tftpd::config& wanted) {
    return wanted.access.writable != tftp::writable::never &&
           wanted.access.method != tftp::upload_method::rename;
}

/// Returns where they are collected then; empty for nowhere.
[[nodiscard]] std::string spool_directory(const tftpd::config& wanted) {
    if (!spools(wanted)) {
        return {};
    }
    if (wanted.spool_directory) {
        return *wanted.spool_directory;
    }
    const char* const named = ::secure_getenv("TMPDIR");
    std::string temporary = named != nullptr && *named != '\0' ? named : "/tmp";
    const tftp::unique_fd there(::open(temporary.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return there ? temporary : std::string();
}

[[nodiscard]] std::shared_ptr<tftp::content_provider> open_content(const tftpd::config& wanted) {
    using tftp::directory_provider;
    tftp::access_policy writes = wanted.access;
    writes.spool_directory = spool_directory(wanted);
    if (!writes.spool_directory.empty()) {
        // Told by its own name when it cannot be had.
        static_cast<void>(open_directory(writes.spool_directory, "use"));
    }
    if (!wanted.upload_directory) {
        return std::make_shared<directory_provider>(open_root(wanted.directory, writes));
    }
    tftp::access_policy reads = wanted.access;
    reads.writable = tftp::writable::never;
    reads.total_size_max = 0;
    return std::make_shared<directory_provider>(
        open_root(wanted.directory, reads), open_root(*wanted.upload_directory, writes)
    );
}

[[nodiscard]] std::string bind_advice(const tftp::error_code& why) {
    namespace errc = boost::system::errc;
    if (why == errc::permission_denied) {
        return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
    }
    if (why == errc::address_in_use) {
        return " (is another TFTP server running?)";
    }
    if (why == errc::too_many_files_open) {
        return " (see ulimit -H -n and LimitNOFILE=, or lower --threads)";
    }
    if (why == errc::address_not_available) {
        return " (no interface of this machine has that address)";
    }
    return {};
}

[[nodiscard]] tftp::server make_server(
    const tftpd::config& wanted,
    std::shared_ptr<tftp::content_provider> files,
    std::size_t descriptors_max,
    tftpd::log& log,
    std::function<void()> on_started
) {
    tftp::server::config setup;
    setup.listen = wanted.listen;
    setup.files = std::move(files);
    if (wanted.windowsize_max) {
        setup.service.options.windowsize = *wanted.windowsize_max;
    }
    setup.service.bound_windows = !wanted.windowsize_max;
    setup.service.options.allow_timeout = wanted.allow_timeout;
    setup.service.blksize_auto = !wanted.blksize_max;
    setup.service.bound_blksize = !wanted.blksize_max;
    if (wanted.blksize_max) {
        setup.service.options.blksize = *wanted.blksize_max;
    }
    setup.service.engine = wanted.engine;
    setup.service.limits = wanted.limits;
    setup.service.limits.exclusive_ports_max =
        std::min(wanted.limits.exclusive_ports_max, descriptors_max / ports_part);
    setup.service.tids = wanted.tids;
    setup.service.sends = wanted.sends;
    setup.transfer_ports = wanted.port_range;
    setup.workers = wanted.threads;
    setup.on_finished = [&log](const tftp::transfer_summary& ended) { log.finished(ended); };
    setup.on_started = std::move(on_started);
    try {
        return tftp::server(std::move(setup));
    } catch (const tftp::listen_error& failed) {
        throw tftpd::start_error(fmt::format(
            "cannot listen on {}: {}{}",
            tftp::to_string(failed.address()),
            failed.code().message(),
            bind_advice(failed.code())
        ));
    }
}

/// The first signal lets transfers finish, the second ends them, the third waits for nothing. In
/// the end the process ends whatever its threads wait for.
class end_on_signal {
public:
    end_on_signal(tftp::server& server, tftp::duration grace)
        : server_(server),
          grace_(grace),
          signals_(server.get_executor(), SIGINT, SIGTERM),
          limit_(server.get_executor()) {
        wait();
    }

private:
    void wait() {
        signals_.async_wait([this](const tftp::error_code& failed, int) {
            if (!failed) {
                ++received_;
                on_signal();
                wait();
            }
        });
    }

    void on_signal() {
        if (received_ == 1) {
            server_.drain(grace_);
            end_in(grace_ + stop_limit);
        } else if (received_ == 2) {
            server_.stop();
            end_in(stop_limit);
        } else {
            std::_Exit(exit_failed);
        }
    }

    /// A thread that hangs in the kernel hears of no signal.
    void end_in(tftp::duration patience) {
        limit_.expires_after(patience);
        limit_.async_wait([](const tftp::error_code& failed) {
            if (!failed) {
                std::_Exit(exit_failed);
            }
        });
    }

    tftp::server& server_;
    tftp::duration grace_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer limit_;
    int received_ = 0;
};

/// The log was rotated.
void reopen_on_signal(tftpd::log& log, boost::asio::signal_set& signals) {
    signals.async_wait([&](const tftp::error_code& failed, int) {
        if (!failed) {
            log.reopen();
            reopen_on_signal(log, signals);
        }
    });
}

/// Threads need few arenas, since serving allocates little: those of a crowd would stay.
void bound_allocator() {
    ::mallopt(M_ARENA_MAX, 2);
}

/// Gives back what only the start needed: half of the code in memory, of this program and its
/// libraries, and some of the heap. What is called again is found in the page cache.
void drop_startup_pages() {
    ::malloc_trim(0);
    const auto forget = [](::dl_phdr_info* object, std::size_t, void*) {
        const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
        for (std::size_t i = 0; i < object->dlpi_phnum; ++i) {
            const auto& part = object->dlpi_phdr[i];
            // Code is never written to, so the file has all of it.
            if (part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0 &&
                (part.p_flags & PF_W) == 0) {
                const std::uintptr_t first = (object->dlpi_addr + part.p_vaddr) & ~(page - 1);
                const std::uintptr_t end = object->dlpi_addr + part.p_vaddr + part.p_memsz;
                // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as numbers
                ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
            }
        }
        return 0;
    };
    ::dl_iterate_phdr(forget, nullptr);
}

/// Requires of the directory of --upload-dir what the user needs there. Files that exist are
/// written in place when the directory cannot be.
void require_upload_directory(const tftpd::config& wanted) {
    using tftp::upload_method;
    const tftp::access_policy& access = wanted.access;
    const bool listed = access.overwrite == tftp::overwrite::keep;
    if (listed || access.writable == tftp::writable::create ||
        access.method == upload_method::rename) {
        tftpd::require_uploads(*wanted.upload_directory, listed);
    } else {
        tftpd::require_search(*wanted.upload_directory);
    }
}

/// Requires what the user must be able to do once privileges are dropped. Returns lines for what is
/// no reason not to start, but may not be meant.
[[nodiscard]] std::vector<std::string> require_rights(const tftpd::config& wanted) {
    tftpd::require_entry(wanted.directory);
    for (const std::string& each : wanted.access.link_targets) {
        tftpd::require_entry(each);
    }
    if (wanted.upload_directory) {
        require_upload_directory(wanted);
    }
    if (wanted.spool_directory) {
        tftpd::require_uploads(*wanted.spool_directory, false);
    }
    if (wanted.port_range) {
        tftpd::require_ports_from(wanted.port_range->first);
    }
    std::vector<std::string> doubts;
    // Uploads can be meant for directories below it alone.
    if (wanted.access.writable != tftp::writable::never && !wanted.upload_directory) {
        if (auto doubt = tftpd::doubt_uploads(wanted.directory)) {
            doubts.push_back(std::move(*doubt));
        }
    }
    if (spools(wanted) && tftpd::why_no_files(spool_directory(wanted))) {
        doubts.push_back(fmt::format(
            "user {} cannot use the temporary directory: files in directories that may not be "
            "written take no uploads (see --spool-dir)",
            tftpd::own_name()
        ));
    }
    return doubts;
}

/// Opens the directory where uploads are collected, if the user can make files there, for a rule of
/// the confinement.
[[nodiscard]] tftp::unique_fd open_spool(const tftpd::config& wanted, tftpd::reach& allowed) {
    const std::string path = spool_directory(wanted);
    if (path.empty() || tftpd::why_no_files(path)) {
        return {};
    }
    tftp::unique_fd spool = open_directory(path, "use");
    const tftp::unique_fd nameless(::openat(spool.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
    );
    allowed = nameless ? tftpd::reach::spool : tftpd::reach::named_spool;
    return spool;
}

/// Leaves the process with what serving needs, and returns what is in force.
tftpd::confined confine(const tftpd::config& wanted, const tftpd::log& log) {
    // What is read once and lies outside of the directories.
    ::tzset();
    using tftpd::reach;
    const bool writes = wanted.access.writable != tftp::writable::never;
    const tftp::unique_fd root = open_directory(wanted.directory, "serve");
    const tftp::unique_fd uploads =
        open_directory(wanted.upload_directory.value_or(wanted.directory), "take uploads in");
    std::vector<tftp::unique_fd> targets;
    for (const std::string& each : wanted.access.link_targets) {
        targets.push_back(open_directory(each, "follow links to"));
    }
    tftpd::confinement needed;
    needed.directories.push_back({root.get(), reach::read});
    for (const tftp::unique_fd& each : targets) {
        needed.directories.push_back({each.get(), writes ? reach::write : reach::read});
    }
    reach of_spool = reach::spool;
    const tftp::unique_fd spool = open_spool(wanted, of_spool);
    if (writes) {
        needed.directories.push_back({uploads.get(), reach::write});
    }
    if (spool) {
        needed.directories.push_back({spool.get(), of_spool});
    }
    if (const auto directory = log.directory()) {
        needed.directories.push_back({*directory, reach::append});
    }
    needed.landlock = wanted.landlock;
    needed.seccomp = wanted.seccomp;
    return tftpd::confine(needed);
}

/// Says what confines the process, and warns of what a switch did not ask for.
void tell_confinement(
    const tftpd::config& wanted,
    const tftpd::confined& confined,
    const std::string& user,
    const tftpd::log& log
) {
    if (wanted.landlock && confined.landlock == 0) {
        log.say("not confined to its directories: this kernel has no Landlock, or hides it");
    }
    log.say(fmt::format(
        "confined: user {}, {}, {}",
        user,
        confined.landlock == 0 ? "no landlock" : fmt::format("landlock {}", confined.landlock),
        confined.seccomp ? "seccomp" : "no seccomp"
    ));
}

/// Signals that must not end the service: a closed log pipe, a limit on the size of files, and a
/// rotation of the log that comes before reopen_on_signal.
void ignore_signals() {
    for (const int number : {SIGPIPE, SIGXFSZ, SIGHUP}) {
        std::signal(number, SIG_IGN);
    }
}

[[nodiscard]] tftpd::log
open_log(const tftpd::config& wanted, const std::optional<tftpd::identity>& user) {
    return wanted.log_file ? tftpd::log(wanted.verbose, tftpd::log_file(*wanted.log_file, user))
                           : tftpd::log(wanted.verbose);
}

int check(const tftpd::config& wanted) {
    const auto user = tftpd::choose_identity(wanted.user);
    const std::shared_ptr<tftp::content_provider> files = open_content(wanted);
    tftpd::drop_privileges(user);
    for (const std::string& warning : require_rights(wanted)) {
        static_cast<void>(std::fprintf(stderr, "tftpd: %s\n", warning.c_str()));
    }
    print("tftpd: configuration OK\n");
    return 0;
}

/// Signals say nothing to what has ended: asio::signal_set gives back their default action, which
/// would have the process die of them.
void block_signals() noexcept {
    ::sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGINT);
    ::sigaddset(&ending, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ending, nullptr);
}

/// Sets everything up and serves to the end. Sets `started` once requests are answered.
int set_up_and_serve(const tftpd::config& wanted, bool& started) {
    ignore_signals();
    bound_allocator();
    ::umask(wanted.umask);
    const std::size_t descriptors_max = tftpd::raise_descriptor_limit();
    const auto user = tftpd::choose_identity(wanted.user);
    tftpd::log log = open_log(wanted, user);
    std::function<void()> on_started;
    tftp::server server =
        make_server(wanted, open_content(wanted), descriptors_max, log, [&on_started] {
            on_started();
        });
    tftpd::drop_privileges(user);
    std::vector<std::string> warnings = require_rights(wanted);
    const std::string name = tftpd::own_name();
    if (const auto line = tftpd::files_of_other_kind(
            wanted.directory, wanted.access.require_world_readable, name
        )) {
        warnings.push_back(*line);
    }
    end_on_signal ends(server, wanted.grace);
    boost::asio::signal_set hangups(server.get_executor(), SIGHUP);
    reopen_on_signal(log, hangups);
    tftpd::require_descriptors(
        descriptors_least + descriptors_of_thread * server.threads(), descriptors_max
    );
    // Both mechanisms hold for a thread and those it starts: the first one starts in server.run().
    const tftpd::confined confined = confine(wanted, log);
    tftpd::require_calls(wanted.access.writable != tftp::writable::never);
    // A start that fails is told in one line alone.
    on_started = [&] {
        for (const std::string& warning : warnings) {
            log.say(warning);
        }
        tell_confinement(wanted, confined, name, log);
        for (const tftp::endpoint& local : server.endpoints()) {
            log.say(fmt::format("serving files on {}", tftp::to_string(local)));
        }
        drop_startup_pages();
        started = true;
    };
    server.run();
    block_signals();
    if (!server.wait_for_disks(disk_patience)) {
        // No transfer needs what is left: a thread waits for a disk that may never answer.
        log.say("ended while a disk does not answer");
        std::_Exit(0);
    }
    return 0;
}

/// What fails before requests are answered keeps the daemon from starting, whatever it is.
int serve(const tftpd::config& wanted) {
    bool started = false;
    try {
        return set_up_and_serve(wanted, started);
    } catch (const tftpd::start_error&) {
        throw;
    } catch (const tftp::threads_error& why) {
        throw tftpd::start_error(fmt::format(
            "cannot start threads: {} (see ulimit -u, TasksMax= and pids.max, or lower --threads)",
            why.code().message()
        ));
    } catch (const std::bad_alloc&) {
        if (started) {
            throw;
        }
        throw tftpd::start_error("cannot start: out of memory");
    } catch (const std::exception& why) {
        if (started) {
            throw;
        }
        throw tftpd::start_error(fmt::format("cannot start: {}", why.what()));
    }
}

int run(int argc, const char* const* argv) {
    const tftpd::config wanted = tftpd::parse(argc, argv);
    switch (wanted.what) {
    case tftpd::config::action::help:
        print(tftpd::help());
        return 0;
    case tftpd::config::action::version:
        print(fmt::format("tftpd {}\n", tftp::version));
        return 0;
    case tftpd::config::action::check:
        return check(wanted);
    case tftpd::config::action::serve:
        break;
    }
    return serve(wanted);
}

} // namespace

int main(int argc, char** argv) {
    tftpd::open_standard_streams();
    // Nothing is passed on purpose.
    tftpd::close_descriptors_from(STDERR_FILENO + 1);
    const auto complain = [](const std::exception& why, int status) {
        // The status tells all there is to tell when nobody can read the line.
        static_cast<void>(std::fprintf(stderr, "tftpd: %s\n", why.what()));
        return status;
    };
    try {
        return run(argc, argv);
    } catch (const tftpd::usage_error& why) {
        return complain(why, exit_cannot_start);
    } catch (const tftpd::start_error& why) {
        return complain(why, exit_cannot_start);
    } catch (const std::exception& why) {
        return complain(why, exit_failed);
    }
}
