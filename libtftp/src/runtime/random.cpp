#include "runtime/random.hpp"

#include <atomic>
#include <chrono>
#include <cstring>

#include <sys/auxv.h>
#include <sys/random.h>

namespace tftp {

namespace {

/// The finaliser of SplitMix64: each bit of the result depends on all bits of `x`.
std::uint64_t mixed(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
}

/// The 16 random bytes that every program gets from the kernel, of which the libc uses 15 for
/// guards of its own: what leaves here does not tell them.
std::uint64_t bits_of_start() noexcept {
    std::uint64_t halves[2] = {};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel tells addresses as numbers
    if (const void* const given = reinterpret_cast<const void*>(::getauxval(AT_RANDOM))) {
        std::memcpy(halves, given, sizeof halves);
    }
    return mixed(halves[0]) ^ mixed(mixed(halves[1]));
}

} // namespace

std::uint64_t random_bits() noexcept {
    std::uint64_t bits = 0;
    if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) == sizeof bits) {
        return bits;
    }
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;
    static std::atomic<std::uint64_t> count = 0;
    const auto time = std::chrono::steady_clock::now().time_since_epoch().count();
    const std::uint64_t turn = count.fetch_add(golden, std::memory_order_relaxed);
    return mixed(bits_of_start() ^ mixed(static_cast<std::uint64_t>(time) + turn));
}

} // namespace tftp
