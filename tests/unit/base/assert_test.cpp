#include <tftp/base/assert.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

/// Ends the process unless two and two are `sum`.
void add_up(int sum) {
    TFTP_ASSERT(2 + 2 == sum);
}

} // namespace

TEST_CASE("an invariant that does not hold is named before the process ends", "[base][assert]") {
    add_up(4);
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const ::pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const ::rlimit none{};
        ::setrlimit(RLIMIT_CORE, &none);
        for (const int n : {SIGILL, SIGTRAP}) {
            std::signal(n, SIG_DFL); // a sanitizer or Catch may handle it
        }
        ::dup2(ends[1], STDERR_FILENO);
        add_up(5);
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string said;
    std::array<char, 256> piece{};
    for (::ssize_t n = 0; (n = ::read(ends[0], piece.data(), piece.size())) > 0;) {
        said.append(piece.data(), static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(said.find("assert_test.cpp:") != std::string::npos);
    CHECK(
        said.find(": this must hold, but does not: 2 + 2 == sum (a defect: ") != std::string::npos
    );
}
