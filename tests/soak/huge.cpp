#include "soak/huge.hpp"

#include "soak/content.hpp"
#include "system/daemon.hpp"

#include <tftp/client/blocking.hpp>

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

namespace tftp::soak {

namespace {

constexpr std::uint64_t four_gib = std::uint64_t{1} << 32;

struct shape {
    std::uint16_t blksize;
    std::uint16_t windowsize;
};

/// Prints how a transfer went and returns whether it went well. wrong: with its content.
bool tell(const transfer_summary& summary, const std::string& wrong) {
    const auto seconds = std::chrono::duration<double>(summary.elapsed).count();
    fmt::print(
        "{} {} octets, blksize {}, windowsize {}: {} blocks, {} rollovers, {} sent again, "
        "{:.1f} s, {:.0f} MiB/s: {}\n",
        summary.verb == transfer_direction::read ? "read" : "wrote",
        summary.counters.bytes,
        summary.agreed.blksize,
        summary.agreed.windowsize,
        summary.counters.blocks,
        summary.counters.blocks / 65'536,
        summary.counters.retransmissions,
        seconds,
        static_cast<double>(summary.counters.bytes) / (1024.0 * 1024.0) / seconds,
        summary.outcome.failed() ? summary.outcome.message()
        : wrong.empty()          ? "every octet as it should be"
                                 : wrong
    );
    std::fflush(stdout);
    return !summary.outcome.failed() && wrong.empty();
}

} // namespace

int huge() {
    test::daemon_process daemon(
        {"--writable", "create", "--fsync", "no", "--blksize-max", "65464", "--threads", "1"}
    );
    const file what{"huge", 20'260'101, four_gib};
    create(daemon.root(), what);
    bool good = true;
    for (const shape& each : {shape{512, 1}, shape{blksize_max, 64}}) {
        client_request asked;
        asked.options = no_options;
        asked.server = daemon.server();
        asked.filename = what.name;
        asked.options->blksize = each.blksize;
        if (each.windowsize != 1) {
            asked.options->windowsize = each.windowsize;
        }
        asked.options->tsize = 0;
        error_code error;
        checking_sink sink(what);
        const transfer_summary got = get(asked, sink, error);
        good = tell(got, sink.whole() && !sink.wrong() ? "" : "wrong octets") && good;

        const file copy{"copy", what.seed + 1, four_gib};
        generated_source source(copy);
        asked.filename = copy.name;
        const transfer_summary sent = put(asked, source, error);
        good = tell(sent, inspect(daemon.root(), copy)) && good;
        std::filesystem::remove(daemon.root() / copy.name);
    }
    return good ? 0 : 1;
}

} // namespace tftp::soak
