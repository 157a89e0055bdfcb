#include "progress.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

#include <fcntl.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::cli;
using namespace std::chrono_literals;

TEST_CASE("octets are worded in binary units", "[tftp][progress]") {
    CHECK(format_bytes(0) == "0 B");
    CHECK(format_bytes(1023) == "1023 B");
    CHECK(format_bytes(1024) == "1.0 KiB");
    CHECK(format_bytes(1536) == "1.5 KiB");
    CHECK(format_bytes(1024 * 1024 - 1) == "1.0 MiB");
    CHECK(format_bytes(1.2 * 1024 * 1024) == "1.2 MiB");
    CHECK(format_bytes(5.0 * 1024 * 1024 * 1024) == "5.0 GiB");
    CHECK(format_bytes(4096.0 * 1024 * 1024 * 1024 * 1024) == "4096.0 TiB");
}

TEST_CASE("times are worded with two or three figures", "[tftp][progress]") {
    CHECK(format_seconds(0s) == "0.000 s");
    CHECK(format_seconds(4ms) == "0.004 s");
    CHECK(format_seconds(800ms) == "0.8 s");
    CHECK(format_seconds(9940ms) == "9.9 s");
    CHECK(format_seconds(9960ms) == "10 s");
    CHECK(format_seconds(31s) == "31 s");
    CHECK(format_seconds(185s) == "3 min 05 s");
}

TEST_CASE("a rate over no time is 0", "[tftp][progress]") {
    CHECK(rate_of(100, 0s) == 0);
    CHECK(rate_of(100, 2s) == 50);
}

TEST_CASE("progress shows share, rate and time left when the size is known", "[tftp][progress]") {
    const time_point start{};
    progress_meter meter("f", start);
    CHECK(
        meter.line(1024, 10240, start + 1s, 80) ==
        "f   10%  1.0 KiB of 10.0 KiB  1.0 KiB/s  0:09 left"
    );
    CHECK(
        meter.line(2048, 10240, start + 2s, 80) ==
        "f   20%  2.0 KiB of 10.0 KiB  1.0 KiB/s  0:08 left"
    );
}

TEST_CASE("progress shows amount and rate when the size is not known", "[tftp][progress]") {
    const time_point start{};
    progress_meter meter("f", start);
    CHECK(meter.line(2048, std::nullopt, start + 1s, 80) == "f  2.0 KiB  2.0 KiB/s");
    CHECK(meter.line(2048, 100, start + 1s, 80) == "f  2.0 KiB  2.0 KiB/s"); // a server's lie
}

TEST_CASE("the rate follows the last seconds", "[tftp][progress]") {
    const time_point start{};
    progress_meter meter("f", start);
    (void)meter.line(1024 * 1024, 2 * 1024 * 1024, start + 1s, 80);
    std::string line;
    for (int second = 2; second < 40; ++second) {
        line = meter.line(1024 * 1024, 2 * 1024 * 1024, start + std::chrono::seconds(second), 80);
    }
    CHECK(line == "f   50%  1.0 MiB of 2.0 MiB  0 B/s  stalled");
    CHECK(meter.line(0, 2 * 1024 * 1024, start + 41s, 80).find("0 B of") != std::string::npos);
}

TEST_CASE("a line of progress fits the terminal", "[tftp][progress]") {
    const time_point start{};
    progress_meter meter(std::string(100, 'n') + "ü", start);
    for (const std::size_t columns : {200U, 80U, 40U, 10U, 1U}) {
        CHECK(meter.line(1, 2, start + 1s, columns).size() <= columns);
    }
    CHECK(meter.line(1, 2, start + 1s, 80).find("50%  1 B of 2 B") != std::string::npos);

    progress_meter umlauts("üü", start);
    const std::string cut = umlauts.line(0, std::nullopt, start, 2 + 12);
    CHECK(cut == "ü  0 B  0 B/s");
}

TEST_CASE("a signal ends the transfer at the next report", "[tftp][progress]") {
    std::atomic<int> stop{0};
    transfer_monitor monitor(stop, -1, "f", std::nullopt);
    CHECK(monitor.on_progress(1, std::nullopt));
    stop = 2;
    CHECK_FALSE(monitor.on_progress(2, std::nullopt));
}

TEST_CASE("progress rewrites one line and leaves it blank", "[tftp][progress]") {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const std::atomic<int> stop{0};
    {
        transfer_monitor monitor(stop, ends[1], "f", 1000);
        CHECK(monitor.on_progress(500, std::nullopt));
    }
    ::close(ends[1]);
    std::string seen(4096, '\0');
    const ::ssize_t size = ::read(ends[0], seen.data(), seen.size());
    ::close(ends[0]);
    REQUIRE(size > 0);
    seen.resize(static_cast<std::size_t>(size));
    CHECK(seen.starts_with("\rf   50%  500 B of 1000 B"));
    const std::size_t blank = seen.rfind('\r', seen.size() - 2);
    REQUIRE(blank != std::string::npos);
    CHECK(seen.substr(blank) == '\r' + std::string(blank - 1, ' ') + '\r');
    CHECK(seen.find('\n') == std::string::npos);
}
