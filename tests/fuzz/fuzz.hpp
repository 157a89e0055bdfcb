#pragma once

#include <tftp/base/bytes.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

/// What the fuzz targets share. A target is one function, LLVMFuzzerTestOneInput, and may be run by
/// libFuzzer or by replay_main.cpp.
namespace tftp::fuzz {

/// Ends the process when a property does not hold: the fuzzer keeps the input.
inline void require(bool holds, const char* otherwise) {
    if (!holds) {
        std::fprintf(stderr, "\nviolated: %s\n", otherwise);
        std::abort();
    }
}

[[nodiscard]] inline std::string_view as_text(bytes_view octets) {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// Reads the bytes of one input from the front; behind the end there are zeros.
class input {
public:
    input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }

    [[nodiscard]] std::uint8_t u8() {
        if (rest_.empty()) {
            return 0;
        }
        const std::uint8_t octet = rest_.front();
        rest_ = rest_.subspan(1);
        return octet;
    }

    [[nodiscard]] std::uint16_t u16() {
        const unsigned high = u8();
        return static_cast<std::uint16_t>(high << 8 | u8());
    }

    [[nodiscard]] std::uint64_t u64() {
        std::uint64_t value = 0;
        for (int i = 0; i < 8; ++i) {
            value = value << 8 | u8();
        }
        return value;
    }

    [[nodiscard]] bool flag() { return (u8() & 1U) != 0; }

    /// Returns one of `choices`.
    template <class T, std::size_t Count>
    [[nodiscard]] T pick(const T (&choices)[Count]) {
        return choices[u8() % Count];
    }

    /// Returns at most `size` bytes. Lifetime: the input's.
    [[nodiscard]] bytes_view bytes(std::size_t size) {
        const std::span<const std::uint8_t> taken = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return std::as_bytes(taken);
    }

    [[nodiscard]] bytes_view rest() { return bytes(rest_.size()); }

private:
    std::span<const std::uint8_t> rest_;
};

} // namespace tftp::fuzz

/// One run of the target with one input; returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
