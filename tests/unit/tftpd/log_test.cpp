#include <catch2/catch.hpp>

#include <log.hpp>
#include <string>

using namespace tftpd;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

TEST_CASE("what peers send is quoted, each byte by itself", "[tftpd][log]") {
    CHECK(quoted("") == R"("")");
    CHECK(quoted("pxelinux.cfg/default") == R"("pxelinux.cfg/default")");
    CHECK(quoted("a\"b\\c") == R"("a\"b\\c")");
    CHECK(quoted("\x1b[2J\n\x7f\xff") == R"("\x1b[2J\x0a\x7f\xff")");
    CHECK(quoted(std::string(1, '\0')) == R"("\x00")");
}

TEST_CASE("a text that would fill the log is cut, and shows it", "[tftpd][log]") {
    const std::string longest(quoted_bytes_max, 'n');
    CHECK(quoted(longest) == '"' + longest + '"');
    CHECK(quoted(longest + 'n') == '"' + longest + "\"...");
    // No escape is cut in two.
    CHECK(quoted(longest.substr(3) + "\n") == '"' + longest.substr(3) + R"("...)");
    CHECK(quoted(longest.substr(4) + "\n") == '"' + longest.substr(4) + R"(\x0a")");
    for (const char odd : {'\xff', '"', '\\', '\0'}) {
        const std::string cut = quoted(std::string(65'000, odd));
        CHECK(cut.size() == quoted_bytes_max + 5);
        CHECK_THAT(cut, EndsWith("\"..."));
    }
}

TEST_CASE("a line of a long name and a long error is short", "[tftpd][log]") {
    tftp::transfer_summary ended;
    ended.filename = std::string(60'000, '\xff');
    ended.outcome = tftp::make_error_code(tftp::peer_errc::undefined);
    ended.peer_text = std::string(400, '\x1b');
    const std::string line = line_of(ended);
    CHECK(line.size() < 2 * quoted_bytes_max + 200);
    CHECK_THAT(line, EndsWith("\"..."));
}
