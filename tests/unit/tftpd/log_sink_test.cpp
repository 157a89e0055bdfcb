#include <tftp/base/unique_fd.hpp>

#include <catch2/catch.hpp>
#include <spdlog/spdlog.h>

#include <array>
#include <log_sink.hpp>
#include <pty.h>
#include <string>
#include <string_view>

#include <unistd.h>

using namespace tftpd;

namespace {

/// More bytes than a terminal keeps: by then the losses were told.
constexpr std::size_t max_seen = std::size_t{1} << 20;

/// A terminal with nobody who reads it yet.
struct terminal {
    terminal() {
        int ends[2] = {-1, -1};
        REQUIRE(::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) == 0);
        user.reset(ends[0]);
        program.reset(ends[1]);
    }

    /// Returns what its user sees now.
    [[nodiscard]] std::string read() const {
        std::array<char, 65536> seen{};
        const ssize_t size = ::read(user.get(), seen.data(), seen.size());
        return {seen.data(), static_cast<std::size_t>(size < 0 ? 0 : size)};
    }

    tftp::unique_fd user;
    tftp::unique_fd program;
};

} // namespace

TEST_CASE("a terminal that nobody reads does not hold up who logs", "[tftpd][log]") {
    const terminal t;
    spdlog::logger logger("test", std::make_shared<log_sink>(t.program.get()));
    logger.set_pattern("%v");
    logger.info("begin");
    // Far more than a terminal keeps. It is ready to the last, with less room than a line takes.
    for (int i = 0; i < 5000; ++i) {
        logger.info(std::string(100, 'x'));
    }
    // What a terminal kept comes in pieces of any size.
    const std::string losses = "lines lost: the log took no more";
    std::string seen;
    while (seen.find(losses) == std::string::npos && seen.size() < max_seen) {
        seen += t.read();
        logger.info("more");
    }
    CHECK(seen.starts_with("begin"));
    CHECK(seen.find(losses) != std::string::npos);
}
