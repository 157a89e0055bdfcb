#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

using namespace tftp::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

/// Waits until the file holds `part`, and returns all it holds.
std::string wait_for(const fs::path& file, std::string_view part) {
    const auto limit = std::chrono::steady_clock::now() + daemon_limit;
    std::string text;
    while (text.find(part) == std::string::npos && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
        text = fs::exists(file) ? read_file(file) : std::string();
    }
    CHECK_THAT(text, Contains(std::string(part)));
    return text;
}

/// tftpd with a log file, in a directory where its user may write.
class logging_daemon {
public:
    explicit logging_daemon(
        const std::vector<std::string>& options = {}, const std::vector<std::string>& wrapper = {}
    ) {
        command what = command_of(wrapper);
        what.argv.push_back(tftpd_program());
        for (const auto& each :
             {daemon_options(),
              options,
              {"--log-file", log().string(), "--listen", "127.0.0.1:0", root_.path().string()}}) {
            what.argv.insert(what.argv.end(), each.begin(), each.end());
        }
        process_.emplace(what);
        const std::string text = wait_for(log(), " on 127.0.0.1:");
        const std::string address = text.substr(text.rfind(' ') + 1);
        server_ = tftp::parse_endpoint(address.substr(0, address.find('\n')), 0).value();
    }

    [[nodiscard]] fs::path directory() const { return logs_.path(); }

    [[nodiscard]] fs::path log() const { return logs_.path() / "tftpd.log"; }

    [[nodiscard]] const fs::path& root() const { return root_.path(); }

    [[nodiscard]] child_process& process() { return *process_; }

    [[nodiscard]] const tftp::endpoint& server() const { return server_; }

    /// Asks for a name that does not exist, which makes one line.
    void request(const std::string& name) {
        udp_client client;
        CHECK(error_code_of(ask(client, server_, rrq(name))) == 1);
    }

private:
    temp_dir root_;
    temp_dir logs_;
    std::optional<child_process> process_;
    tftp::endpoint server_;
};

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

} // namespace

TEST_CASE("the log goes to a file of the user", "[system][tftpd][log]") {
    logging_daemon daemon;
    daemon.request("missing");
    const std::string text = wait_for(daemon.log(), "\"missing\"");
    CHECK_THAT(text, Contains(" tftpd: serving files on 127.0.0.1:"));
    CHECK(daemon.process().errors().empty());
    struct ::stat about = {};
    REQUIRE(::stat(daemon.log().c_str(), &about) == 0);
    CHECK((about.st_mode & ALLPERMS) == 0640);
    CHECK(about.st_uid == (::geteuid() == 0 ? 65534 : ::geteuid()));
}

TEST_CASE("a log file that exists is appended to", "[system][tftpd][log]") {
    const temp_dir logs;
    const temp_dir root;
    write_file(logs.path() / "log", "before\n");
    command what = command_of({tftpd_program()});
    for (const auto& each : {daemon_options(), {"--log-file", "log", "--listen", "127.0.0.1:0"}}) {
        what.argv.insert(what.argv.end(), each.begin(), each.end());
    }
    what.argv.push_back(root.path().string());
    what.working_directory = logs.path();
    child_process process(what);
    const std::string text = wait_for(logs.path() / "log", "serving files on");
    CHECK(text.substr(0, 7) == "before\n");
}

TEST_CASE("SIGHUP goes on in a new file after a rotation", "[system][tftpd][log]") {
    logging_daemon daemon({"--writable", "create"});
    daemon.request("first");
    static_cast<void>(wait_for(daemon.log(), "\"first\""));
    const fs::path old = daemon.directory() / "tftpd.log.1";
    fs::rename(daemon.log(), old);
    daemon.request("second");
    static_cast<void>(wait_for(old, "\"second\""));

    daemon.process().send_signal(SIGHUP);
    static_cast<void>(wait_for(daemon.log(), "SIGHUP: the log file is open again"));
    daemon.request("third");
    static_cast<void>(wait_for(daemon.log(), "\"third\""));
    CHECK_THAT(read_file(old), !Contains("third"));

    // As logrotate does it with `create`: the new file is there.
    fs::rename(daemon.log(), old);
    write_file(daemon.log(), "");
    daemon.process().send_signal(SIGHUP);
    static_cast<void>(wait_for(daemon.log(), "SIGHUP: the log file is open again"));
    daemon.request("fourth");
    static_cast<void>(wait_for(daemon.log(), "\"fourth\""));
}

TEST_CASE("no line is lost while the log is rotated", "[system][tftpd][log]") {
    logging_daemon daemon({"--threads", "2"});
    constexpr int requests = 300;
    std::atomic<int> done = 0;
    std::vector<std::thread> clients;
    for (int client = 0; client < 2; ++client) {
        clients.emplace_back([&] {
            udp_client socket;
            for (int i = 0; i < requests; ++i) {
                socket.send(daemon.server(), rrq("missing"));
                if (!socket.receive()) {
                    return;
                }
                ++done;
            }
        });
    }
    std::string all;
    int rotations = 0;
    while (done < 2 * requests && rotations < 100) {
        const fs::path old = daemon.directory() / "old";
        fs::rename(daemon.log(), old);
        daemon.process().send_signal(SIGHUP);
        static_cast<void>(wait_for(daemon.log(), "the log file is open again"));
        all += read_file(old);
        ++rotations;
    }
    for (std::thread& each : clients) {
        each.join();
    }
    daemon.process().send_signal(SIGTERM);
    CHECK(daemon.process().wait(daemon_limit) == 0);
    all += read_file(daemon.log());
    CHECK(done == 2 * requests);
    CHECK(rotations > 1);
    CHECK(count(all, "\"missing\"") == 2 * requests);
    CHECK(count(all, "lost") == 0);
}

TEST_CASE("a log that cannot be opened again goes on in the old file", "[system][tftpd][log]") {
    logging_daemon daemon;
    const fs::path old = daemon.directory() / "old";
    fs::rename(daemon.log(), old);

    SECTION("because the user may not write in the directory") {
        fs::permissions(daemon.directory(), fs::perms(0555));
        daemon.process().send_signal(SIGHUP);
        CHECK_THAT(wait_for(old, "SIGHUP"), Contains("cannot be opened: Permission denied"));
        fs::permissions(daemon.directory(), fs::perms::all);
    }
    SECTION("because a link has its name") {
        write_file(daemon.root() / "target", "content");
        fs::create_symlink(daemon.root() / "target", daemon.log());
        daemon.process().send_signal(SIGHUP);
        static_cast<void>(wait_for(old, "SIGHUP: going on in the old log file"));
        CHECK(holds(daemon.root() / "target", "content"));
    }
    SECTION("because a FIFO has its name, for whose reader nobody waits") {
        REQUIRE(::mkfifo(daemon.log().c_str(), 0666) == 0);
        daemon.process().send_signal(SIGHUP);
        static_cast<void>(wait_for(old, "SIGHUP: going on in the old log file"));
        fs::remove(daemon.log());
    }
    daemon.request("later");
    static_cast<void>(wait_for(old, "\"later\""));
    // And in the new one as soon as it can be had.
    fs::remove(daemon.log());
    daemon.process().send_signal(SIGHUP);
    static_cast<void>(wait_for(daemon.log(), "the log file is open again"));
}

TEST_CASE("tftpd does not start without its log file", "[system][tftpd][log]") {
    const temp_dir dir;
    const auto refusal = [&](const fs::path& log) {
        const run_result result =
            run_tftpd({"--log-file", log.string(), "--listen", "127.0.0.1:0", dir.path().string()});
        CHECK(result.status == 2);
        CHECK_THAT(result.errors, Contains("tftpd: cannot log to " + log.string() + ": "));
        return result.errors;
    };
    CHECK_THAT(refusal(dir.path() / "missing" / "log"), Contains("No such file or directory"));
    CHECK_THAT(refusal(dir.path()), Contains("Is a directory"));
    fs::create_symlink("other", dir.path() / "link");
    static_cast<void>(refusal(dir.path() / "link"));
    CHECK(!fs::exists(dir.path() / "other"));
    REQUIRE(::mkfifo((dir.path() / "fifo").c_str(), 0666) == 0);
    static_cast<void>(refusal(dir.path() / "fifo"));
    static_cast<void>(refusal("/dev/null"));
}

TEST_CASE("a log file that takes no more delays nothing", "[system][tftpd][log]") {
    // Room for some lines, the last of them torn.
    logging_daemon daemon({}, {"prlimit", "--fsize=2000"});
    for (int i = 0; i < 20; ++i) {
        daemon.request("missing");
    }
    CHECK(fs::file_size(daemon.log()) == 2000);
    fs::resize_file(daemon.log(), 0);
    daemon.request("again");
    const std::string text = wait_for(daemon.log(), "\"again\"");
    CHECK_THAT(text, Contains(" lines lost: the log took no more\n"));
    CHECK(text.front() == '\n');
    daemon.process().send_signal(SIGTERM);
    CHECK(daemon.process().wait(daemon_limit) == 0);
}

TEST_CASE("a log file with a second name is not written to", "[system][tftpd][log]") {
    const temp_dir other;
    write_file(other.path() / "other", "of somebody\n");
    SECTION("at the start") {
        fs::create_hard_link(other.path() / "other", other.path() / "log");
        const std::string log = (other.path() / "log").string();
        const run_result result =
            run_tftpd({"--log-file", log, "--listen", "127.0.0.1:0", other.path().string()});
        CHECK(result.status == 2);
        CHECK(result.errors == "tftpd: cannot log to " + log + ": Too many links\n");
    }
    SECTION("after a rotation") {
        logging_daemon daemon;
        fs::rename(daemon.log(), daemon.directory() / "old");
        write_file(daemon.directory() / "other", "of somebody\n");
        fs::create_hard_link(daemon.directory() / "other", daemon.log());
        daemon.process().send_signal(SIGHUP);
        static_cast<void>(wait_for(
            daemon.directory() / "old",
            "SIGHUP: going on in the old log file, the new one cannot be opened: Too many links"
        ));
        daemon.request("missing");
        static_cast<void>(wait_for(daemon.directory() / "old", "\"missing\""));
        CHECK(holds(daemon.directory() / "other", "of somebody\n"));
    }
    CHECK(holds(other.path() / "other", "of somebody\n"));
}
