// How many system calls a block costs, at both ends: what they cost is the price of a transfer.
#include "support/files.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

using namespace tftp::test;

namespace {

/// Calls by name.
using calls = std::map<std::string, double>;

double total(const calls& all) {
    return std::accumulate(all.begin(), all.end(), 0.0, [](double sum, const auto& each) {
        return sum + each.second;
    });
}

double calls_of(const calls& all, const char* name) {
    const auto found = all.find(name);
    return found == all.end() ? 0.0 : found->second;
}

/// Returns how many calls sent datagrams.
double sends_of(const calls& all) {
    return calls_of(all, "sendto") + calls_of(all, "sendmsg") + calls_of(all, "sendmmsg");
}

/// Reads the table that strace -c writes: number and name in each line.
calls read_table(const std::filesystem::path& file) {
    std::istringstream lines(read_file(file));
    calls out;
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        double count = 0;
        std::string name;
        if (words >> count >> name && name != "total") {
            out[name] = count;
        }
    }
    return out;
}

std::vector<std::string> counting(const std::filesystem::path& table) {
    return {"strace", "-f", "-c", "-U", "calls,name", "-o", table.string()};
}

/// Counts the calls of all threads of a running process, from its construction to stop().
class call_counter {
public:
    explicit call_counter(pid_t process) : strace_(attach(process)) {
        if (!strace_.wait_for_line("attached", daemon_limit)) {
            const std::string words = strace_.errors().substr(0, strace_.errors().find('\n'));
            skip("strace may not attach to tftpd:" + words.substr(words.rfind(':') + 1));
        }
    }

    [[nodiscard]] calls stop() {
        strace_.send_signal(SIGINT);
        REQUIRE(strace_.wait(daemon_limit));
        return read_table(table_);
    }

private:
    [[nodiscard]] command attach(pid_t process) const {
        std::vector<std::string> words = counting(table_);
        words.insert(words.end(), {"-p", std::to_string(process)});
        return command_of(std::move(words));
    }

    temp_dir directory_;
    std::filesystem::path table_ = directory_.path() / "calls";
    child_process strace_;
};

/// What one transfer took.
struct budget {
    calls server;
    calls client;
    std::chrono::steady_clock::duration lasted;
};

/// Waits of the server that its timer may end: it is left as it is when a deadline moves later, and
/// no deadline of these transfers is nearer than 20 ms.
[[nodiscard]] double woken_max(const budget& spent) {
    return spent.lasted / std::chrono::duration<double, std::milli>(20);
}

/// Moves a file by the real programs and counts on both sides.
budget
transfer(const std::string& verb, std::size_t size, const std::vector<std::string>& options) {
    daemon_process daemon({"--threads", "1", "--writable", "create", "--blksize-max", "65464"});
    const temp_dir here;
    const std::string content = make_content(size, 5);
    const std::filesystem::path local = here.path() / "file";
    write_file(verb == "get" ? daemon.root() / "file" : local, content);
    // What the first request of all takes is not counted; the file is known from then on.
    REQUIRE(daemon.serves());
    if (verb == "get") {
        REQUIRE(fetch(daemon.server(), "file").size() == size);
    }

    call_counter server(daemon.process().id());
    const std::filesystem::path table = here.path() / "calls";
    std::vector<std::string> words = counting(table);
    words.insert(words.end(), {TFTP_TFTP_PROGRAM, "--quiet"});
    words.insert(words.end(), options.begin(), options.end());
    const std::string where = tftp::to_string(daemon.server());
    if (verb == "get") {
        words.insert(words.end(), {"get", where, "file", local.string()});
    } else {
        words.insert(words.end(), {"put", where, local.string(), "file"});
    }
    const auto begun = std::chrono::steady_clock::now();
    const run_result ended = run(command_of(std::move(words)), daemon_limit);
    const auto lasted = std::chrono::steady_clock::now() - begun;
    INFO(ended.errors);
    REQUIRE(ended.status == 0);
    CHECK(holds(local, content));
    CHECK(holds(daemon.root() / "file", content));
    return {server.stop(), read_table(table), lasted};
}

std::string shown(const calls& all) {
    std::string out;
    for (const auto& [name, count] : all) {
        out += name + ' ' + std::to_string(static_cast<long>(count)) + ", ";
    }
    return out;
}

/// Calls to begin and end a program or a transfer.
constexpr double server_start_max = 60;
constexpr double client_start_max = 250;

constexpr std::size_t count = 2000;
constexpr std::size_t window = 45;
constexpr double windows = double(count) / window;

} // namespace

TEST_CASE("a block in lockstep is a wait, a receive and a send", "[system][tftpd][tftp][budget]") {
    const budget spent = transfer("get", count * 1428, {"--blksize=1428", "--windowsize=1"});
    INFO("server: " << shown(spent.server));
    INFO("client: " << shown(spent.client));
    // The file is read in pieces of more than a block.
    CHECK(total(spent.server) <= count * 3.1 + server_start_max + woken_max(spent));
    CHECK(total(spent.client) <= count * 3.1 + client_start_max);
}

TEST_CASE(
    "a window is a wait, a receive, and two or three calls that send",
    "[system][tftpd][tftp][budget]"
) {
    const budget spent = transfer("get", count * 1428, {"--blksize=1428", "--windowsize=45"});
    INFO("server: " << shown(spent.server));
    INFO("client: " << shown(spent.client));
    // Filled and sent; or, from where it stands, held, looked at, and released.
    CHECK(total(spent.server) <= windows * 5.3 + server_start_max + woken_max(spent));
    // A wait, a receive and an ACK; the window may come in two parts, and is written with others.
    CHECK(total(spent.client) <= windows * 6 + client_start_max);
    CHECK(sends_of(spent.server) + sends_of(spent.client) < count / 4.0);
}

TEST_CASE("an upload is received and sent by windows, too", "[system][tftpd][tftp][budget]") {
    const budget spent = transfer("put", count * 1428, {"--blksize=1428", "--windowsize=45"});
    INFO("server: " << shown(spent.server));
    INFO("client: " << shown(spent.client));
    // A wait, a receive, a write and an ACK; the window may come in two parts.
    CHECK(total(spent.server) <= windows * 8 + server_start_max + woken_max(spent));
    CHECK(total(spent.client) <= windows * 6 + client_start_max);
}

TEST_CASE("ways to send that are forced cost what they say", "[system][tftpd][tftp][budget]") {
    const std::string how = GENERATE(as<std::string>(), "gso", "batch", "single");
    const budget spent =
        transfer("put", count * 1428, {"--blksize=1428", "--windowsize=45", "--sends=" + how});
    INFO(how << ", client: " << shown(spent.client));
    const double sends = sends_of(spent.client);
    const double batches = calls_of(spent.client, "sendmmsg");
    if (how == "single") {
        CHECK(sends >= count);
    } else {
        CHECK(sends >= windows);
        CHECK(sends <= windows * 1.2);
        CHECK(batches >= (how == "batch" ? windows : 0));
        CHECK((how == "batch" || batches == 0));
    }
}
