#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <log_gate.hpp>

using namespace tftpd;
using namespace std::chrono_literals;

namespace {

constexpr tftp::time_point begin{};

tftp::transfer_summary ended(const tftp::error_code& outcome = {}) {
    tftp::transfer_summary s;
    s.outcome = outcome;
    return s;
}

tftp::error_code system_error(int number) {
    return {number, boost::system::system_category()};
}

} // namespace

TEST_CASE("a log writes no more lines in a second than it may", "[tftpd][log]") {
    log_gate gate(10, begin);
    int lines = 0;
    for (int i = 0; i < 100; ++i) {
        lines += gate.decide(ended(), true, begin).line ? 1 : 0;
    }
    CHECK(lines == 10);
    const auto next = gate.decide(ended(), true, begin + 100ms);
    CHECK(next.line);
    CHECK(next.left_out == 90);
    CHECK_FALSE(gate.decide(ended(), true, begin + 100ms).line);
    CHECK(gate.decide(ended(), true, begin + 200ms).left_out == 1);
}

TEST_CASE("lines that nobody wants cost nothing", "[tftpd][log]") {
    log_gate gate(1, begin);
    for (int i = 0; i < 100; ++i) {
        CHECK_FALSE(gate.decide(ended(), false, begin).line);
    }
    const auto wanted = gate.decide(ended(), true, begin);
    CHECK(wanted.line);
    CHECK(wanted.left_out == 0);
}

TEST_CASE("a shortage is said once, and its end", "[tftpd][log]") {
    const int error = GENERATE(EMFILE, ENFILE, ENOMEM, ENOBUFS, 0);
    const tftp::error_code why =
        error == 0 ? make_error_code(tftp::errc::overloaded) : system_error(error);
    log_gate gate(1000, begin);
    const auto first = gate.decide(ended(why), true, begin);
    CHECK(first.begun == why);
    CHECK(first.line);
    for (int i = 1; i < 50; ++i) {
        const auto again = gate.decide(ended(why), true, begin + i * 1s);
        CHECK_FALSE(again.begun);
        CHECK_FALSE(again.line);
        CHECK_FALSE(again.over);
    }
    CHECK_FALSE(gate.decide(ended(), true, begin + 50s).over);
    const auto after = gate.decide(ended(), true, begin + 54s);
    REQUIRE(after.over);
    CHECK(after.over->met == 50);
    CHECK(after.over->why == why);
    CHECK(after.line);
    // The next one is another.
    const auto next = gate.decide(ended(why), true, begin + 55s);
    CHECK(next.begun == why);
    CHECK_FALSE(next.over);
}

TEST_CASE("a system that refuses to send is a shortage, its transfers have lines", "[tftpd][log]") {
    log_gate gate(1000, begin);
    auto s = ended(tftp::errc::timed_out);
    s.send_error = system_error(EPERM);
    const auto first = gate.decide(s, true, begin);
    CHECK(first.begun == system_error(EPERM));
    CHECK(first.line);
    const auto second = gate.decide(s, true, begin + 1s);
    CHECK_FALSE(second.begun);
    CHECK(second.line);
}

TEST_CASE("a failure that is no shortage is a line, nothing else", "[tftpd][log]") {
    log_gate gate(1000, begin);
    for (const tftp::error_code& why :
         {make_error_code(tftp::errc::timed_out),
          make_error_code(tftp::errc::client_overloaded),
          make_error_code(tftp::errc::too_fast),
          system_error(ENOENT)}) {
        const auto what = gate.decide(ended(why), true, begin);
        CHECK(what.line);
        CHECK_FALSE(what.begun);
    }
}
