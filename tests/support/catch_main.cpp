// The main function of every test program, and how its cases are skipped: Catch2 v2 has no word
// for it.
#define CATCH_CONFIG_RUNNER
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
#include <system_error>

#include <linux/magic.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace tftp::test {

namespace {

/// SKIP_RETURN_CODE of every test, see tests/CMakeLists.txt.
constexpr int skipped_exit_code = 77;

/// What was said, once for all the runs of a case that has sections or generators.
std::set<std::string>& said() {
    static std::set<std::string> lines;
    return lines;
}

void report(const std::string& reason) {
    if (std::getenv("TFTP_REQUIRE_ALL") != nullptr) {
        FAIL("would be skipped, and nothing may be (TFTP_REQUIRE_ALL): " << reason);
    }
    // The line that tests/skips.py looks for.
    const std::string line =
        "skipped: \"" + Catch::getResultCapture().getCurrentTestName() + "\": " + reason;
    if (said().insert(line).second) {
        std::cout << line << std::endl;
    }
}

} // namespace

void skip(const std::string& reason) {
    report(reason);
    // How a failed REQUIRE leaves a case; here no failure was counted before.
    throw Catch::TestFailureException();
}

void skip_part(const std::string& reason) {
    report(reason);
}

void need_root() {
    if (::geteuid() != 0) {
        skip("needs root");
    }
}

void need_command(const std::vector<std::string>& argv) {
    const command what{argv, {}, {}, -1};
    std::string words;
    try {
        const run_result tried = run(what, std::chrono::seconds(30));
        if (tried.status == 0) {
            return;
        }
        words = tried.errors.empty() ? "it fails" : tried.errors;
    } catch (const std::system_error& missing) {
        words = missing.what();
    }
    skip(to_string(what) + " does not work here: " + words.substr(0, words.find('\n')));
}

namespace {

constexpr const char* no_ipv6 = "no address ::1 here";

} // namespace

bool ipv6_is_here() {
    return has_address("::1");
}

bool has_ipv6() {
    const bool here = ipv6_is_here();
    if (!here) {
        skip_part(no_ipv6);
    }
    return here;
}

void need_ipv6() {
    if (!ipv6_is_here()) {
        skip(no_ipv6);
    }
}

namespace {

/// Returns 0, or the error of getaddrinfo.
int look_up(const std::string& name, int flags, int family) {
    ::addrinfo wanted{};
    wanted.ai_flags = flags;
    wanted.ai_family = family;
    ::addrinfo* found = nullptr;
    const int error = ::getaddrinfo(name.c_str(), nullptr, &wanted, &found);
    if (error == 0) {
        ::freeaddrinfo(found);
    }
    return error;
}

bool address_beside(const std::string& loopback) {
    const int family = loopback.find(':') == std::string::npos ? AF_INET : AF_INET6;
    return look_up(loopback, AI_ADDRCONFIG, family) == 0;
}

std::string none_beside(const std::string& loopback) {
    return "no address beside " + loopback + " here, which tftp-hpa needs";
}

} // namespace

bool has_address_beside(const std::string& loopback) {
    const bool here = address_beside(loopback);
    if (!here) {
        skip_part(none_beside(loopback));
    }
    return here;
}

void need_address_beside(const std::string& loopback) {
    if (!address_beside(loopback)) {
        skip(none_beside(loopback));
    }
}

void need_host(const std::string& name) {
    if (const int error = look_up(name, 0, AF_UNSPEC)) {
        skip("the name " + name + " is not known here: " + ::gai_strerror(error));
    }
}

std::filesystem::path need_memory_directory() {
    const char* const place = "/dev/shm";
    struct ::statfs about = {};
    if (::statfs(place, &about) != 0 || about.f_type != TMPFS_MAGIC ||
        ::access(place, W_OK | X_OK) != 0) {
        skip("no file system in memory at /dev/shm that this user may write to");
    }
    return place;
}

void need_space(const std::filesystem::path& where, std::uintmax_t bytes) {
    constexpr std::uintmax_t mebibyte = std::uintmax_t{1} << 20;
    const std::uintmax_t available = std::filesystem::space(where).available;
    if (available < bytes) {
        skip(
            where.parent_path().string() + " has " + std::to_string(available / mebibyte) +
            " MiB, and " + std::to_string(bytes / mebibyte) + " are needed (see TMPDIR)"
        );
    }
}

} // namespace tftp::test

int main(int argc, char* argv[]) {
    // The exit code of Catch2 is the number of failures, which may be any.
    if (Catch::Session().run(argc, argv) != 0) {
        return 1;
    }
    return tftp::test::said().empty() ? 0 : tftp::test::skipped_exit_code;
}
