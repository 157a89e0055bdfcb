// bench_micro: what the codec and the engines cost for each packet, without a socket. Fails when
// any of them allocates memory.
#include "support/builders.hpp"

#include <tftp/engine/config.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <array>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace {

std::uint64_t allocations = 0;
/// Any benchmark allocated memory while it was measured.
bool allocated = false;

} // namespace

// What everybody calls: one thread, so that a plain counter will do. Inlined, g++ takes free() for
// the wrong end of new.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* const out = std::malloc(size == 0 ? 1 : size)) {
        return out;
    }
    throw std::bad_alloc();
}

[[gnu::noinline]] void operator delete(void* place) noexcept {
    std::free(place);
}

[[gnu::noinline]] void operator delete(void* place, std::size_t) noexcept {
    std::free(place);
}

namespace {

using namespace tftp;
using namespace std::chrono_literals;
using test::peer;

constexpr std::uint16_t blksize = 1468;
constexpr time_point start{1000h};
/// From one packet to the next.
constexpr auto step = 10us;

/// Calls `once`, which returns how many packets it took and made, as often as the state wants.
template <typename Once>
void measure(benchmark::State& state, Once once) {
    std::uint64_t packets = once();
    const std::uint64_t before = allocations;
    packets = 0;
    for (auto _ : state) {
        packets += once();
    }
    const std::uint64_t made = allocations - before;
    allocated = allocated || made != 0;
    const auto count = double(packets);
    state.counters["allocations"] = double(made) / count;
    state.counters["packet"] =
        benchmark::Counter(count, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void decode_packet(benchmark::State& state, const test::datagram& octets) {
    measure(state, [&] {
        auto packet = decode(octets);
        benchmark::DoNotOptimize(packet);
        return 1U;
    });
}

const test::option_pairs usual_options{
    {"tsize", "0"}, {"blksize", "1468"}, {"windowsize", "16"}, {"timeout", "1"}};

BENCHMARK_CAPTURE(decode_packet, rrq, test::rrq("pxelinux.cfg/default", usual_options));
BENCHMARK_CAPTURE(decode_packet, data, test::data(1, blksize));
BENCHMARK_CAPTURE(decode_packet, ack, test::ack(1));
BENCHMARK_CAPTURE(decode_packet, error, test::error_packet(1, "File not found"));
BENCHMARK_CAPTURE(decode_packet, oack, test::oack(usual_options));

[[nodiscard]] answer answer_to(const test::datagram& request) {
    const auto packet = decode(request).value();
    return answer_request(std::get<request_view>(packet), option_limits{}, std::nullopt);
}

void encode_data(benchmark::State& state) {
    std::array<std::byte, header_size> out{};
    std::uint16_t block = 0;
    measure(state, [&] {
        encode_data_header(out, ++block);
        benchmark::DoNotOptimize(out);
        return 1U;
    });
}

void encode_rrq(benchmark::State& state) {
    std::array<std::byte, request_size_max> out{};
    offer offered;
    offered.blksize = blksize;
    offered.windowsize = 16;
    measure(state, [&] {
        auto size =
            encode_request(opcode::rrq, "pxelinux.cfg/default", transfer_mode::octet, offered, out);
        benchmark::DoNotOptimize(size);
        benchmark::DoNotOptimize(out);
        return 1U;
    });
}

void encode_oack_of_four(benchmark::State& state) {
    std::array<std::byte, request_size_max> out{};
    const answer answered = answer_to(test::rrq("file", usual_options));
    measure(state, [&] {
        auto size = encode_oack(answered, out);
        benchmark::DoNotOptimize(size);
        benchmark::DoNotOptimize(out);
        return 1U;
    });
}

void encode_error_with_text(benchmark::State& state) {
    std::array<std::byte, request_size_max> out{};
    std::string_view text = "File not found";
    measure(state, [&] {
        benchmark::DoNotOptimize(text);
        auto size = encode_error(peer_errc::not_found, text, out);
        benchmark::DoNotOptimize(size);
        benchmark::DoNotOptimize(out);
        return 1U;
    });
}

BENCHMARK(encode_data);
BENCHMARK(encode_rrq);
BENCHMARK(encode_oack_of_four);
BENCHMARK(encode_error_with_text);

[[nodiscard]] test::option_pairs options_of(std::uint16_t windowsize) {
    return {{"blksize", std::to_string(blksize)}, {"windowsize", std::to_string(windowsize)}};
}

/// A sender of content without end: each window leaves, and its ACK comes.
void send_windows(benchmark::State& state) {
    const auto windowsize = std::uint16_t(state.range(0));
    time_point now = start;
    sender s = sender::respond(answer_to(test::rrq("file", options_of(windowsize))), peer, {}, now);
    std::uint64_t sent = 0;
    measure(state, [&] {
        std::uint64_t packets = 1;
        s.on_datagram(encode_ack(std::uint16_t(sent)), peer, now += step);
        for (;;) {
            const sender::effect effect = s.next(windowsize);
            if (const auto* run = std::get_if<send_data>(&effect)) {
                sent = run->first_block + run->count - 1;
                packets += run->count;
                s.on_sent(*run, run->count, now);
            } else if (!std::holds_alternative<send_control>(effect)) {
                return packets;
            }
        }
    });
    if (s.counters().retransmissions != 0 || sent == 0) {
        state.SkipWithError("the sender had to repeat, or sent nothing");
    }
}

/// A receiver of content without end: a window comes, and its ACK leaves.
void receive_windows(benchmark::State& state) {
    const auto windowsize = std::uint16_t(state.range(0));
    time_point now = start;
    receiver r =
        receiver::respond(answer_to(test::wrq("file", options_of(windowsize))), peer, {}, now);
    test::datagram data = test::data(0, blksize);
    std::uint64_t received = 0;
    std::uint64_t acknowledged = 0;
    const auto run = [&] {
        for (;;) {
            const receiver::effect effect = r.next();
            if (std::holds_alternative<send_control>(effect)) {
                ++acknowledged;
            } else if (!std::holds_alternative<store>(effect)) {
                return;
            }
        }
    };
    run();
    measure(state, [&] {
        const std::uint64_t before = acknowledged;
        for (std::uint16_t i = 0; i < windowsize; ++i) {
            encode_data_header(
                std::span<std::byte, header_size>(data.data(), header_size),
                std::uint16_t(++received)
            );
            r.on_datagram(data, peer, now += step);
            run();
        }
        r.on_stored(now);
        run();
        return windowsize + acknowledged - before;
    });
    if (r.counters().blocks != received) {
        state.SkipWithError("the receiver did not take every block");
    }
}

BENCHMARK(send_windows)->Arg(1)->Arg(64);
BENCHMARK(receive_windows)->Arg(1)->Arg(64);

} // namespace

/// Exit status: 0, 1 when anything allocated memory, 2 for a wrong command line.
int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    benchmark::RunSpecifiedBenchmarks();
    if (allocated) {
        std::fprintf(stderr, "bench_micro: memory was allocated for a packet\n");
    }
    return allocated ? 1 : 0;
}
