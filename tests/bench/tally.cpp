#include "bench/tally.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <sys/resource.h>

namespace tftp::bench {
namespace {

using microseconds = std::chrono::microseconds;

/// Points of the distribution that is printed.
constexpr std::size_t points_max = 200;

[[nodiscard]] double seconds(microseconds time) noexcept {
    return double(time.count()) / 1e6;
}

/// sorted: not empty. share: 0 to 1.
[[nodiscard]] double quantile(const std::vector<microseconds>& sorted, double share) noexcept {
    return seconds(sorted[std::size_t(double(sorted.size() - 1) * share)]);
}

[[nodiscard]] std::string percentiles(const std::vector<microseconds>& sorted) {
    if (sorted.empty()) {
        return "null";
    }
    return fmt::format(
        R"({{"p50": {:.6f}, "p90": {:.6f}, "p99": {:.6f}, "p999": {:.6f}, "max": {:.6f}}})",
        quantile(sorted, 0.5),
        quantile(sorted, 0.9),
        quantile(sorted, 0.99),
        quantile(sorted, 0.999),
        quantile(sorted, 1)
    );
}

[[nodiscard]] std::string distribution(const std::vector<microseconds>& sorted) {
    std::vector<std::string> out;
    const std::size_t points = std::min(sorted.size(), points_max);
    for (std::size_t i = 0; i < points; ++i) {
        const double share = points == 1 ? 1 : double(i) / double(points - 1);
        out.push_back(fmt::format("{:.6f}", quantile(sorted, share)));
    }
    return fmt::format("[{}]", fmt::join(out, ", "));
}

[[nodiscard]] std::string reasons(const tally& counts) {
    std::vector<std::string> out;
    for (const auto& [why, count] : counts.reasons) {
        out.push_back(fmt::format(R"("{}": {})", why, count));
    }
    return fmt::format("{{{}}}", fmt::join(out, ", "));
}

[[nodiscard]] microseconds to_time(const timeval& time) noexcept {
    return std::chrono::seconds(time.tv_sec) + microseconds(time.tv_usec);
}

} // namespace

microseconds cpu_time() noexcept {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return to_time(used.ru_utime) + to_time(used.ru_stime);
}

void tally::agreed(std::uint32_t with_blksize, std::uint32_t with_windowsize) noexcept {
    blksize = blksize == 0 ? with_blksize : std::min(blksize, with_blksize);
    windowsize = windowsize == 0 ? with_windowsize : std::min(windowsize, with_windowsize);
}

std::string to_json(tally& counts, microseconds wall, microseconds cpu) {
    std::ranges::sort(counts.first_block);
    std::ranges::sort(counts.completion);
    std::ranges::sort(counts.waits);
    const std::string counters = fmt::format(
        R"("completed": {}, "failed": {}, "wrong": {}, "answered": {}, "reasons": {}, "octets": {}, "blocks": {}, )"
        R"("blocks_twice": {}, "blocks_early": {}, "blocks_again": {}, "acks_again": {}, )"
        R"("requests_again": {}, "blksize": {}, "windowsize": {})",
        counts.completed,
        counts.failed,
        counts.wrong,
        counts.first_block.size(),
        reasons(counts),
        counts.octets,
        counts.blocks,
        counts.blocks_twice,
        counts.blocks_early,
        counts.blocks_again,
        counts.acks_again,
        counts.requests_again,
        counts.blksize,
        counts.windowsize
    );
    return fmt::format(
        R"({{{}, "wall_s": {:.6f}, "cpu_s": {:.6f}, "first_block_s": {}, "completion_s": {}, )"
        R"("wait_s": {}, "completion_times_s": {}}})",
        counters,
        seconds(wall),
        seconds(cpu),
        percentiles(counts.first_block),
        percentiles(counts.completion),
        percentiles(counts.waits),
        distribution(counts.completion)
    );
}

} // namespace tftp::bench
