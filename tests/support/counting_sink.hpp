#pragma once

#include <tftp/content/sink.hpp>

#include <cstdint>
#include <span>

namespace tftp::test {

/// Counts what reaches it, committed or not, and keeps none of it.
class counting_sink final : public sink {
public:
    [[nodiscard]] error_code reserve(std::uint64_t) noexcept override { return {}; }

    [[nodiscard]] error_code
    write(std::uint64_t, std::span<const ::iovec> payloads) noexcept override {
        for (const ::iovec& payload : payloads) {
            octets += payload.iov_len;
        }
        return {};
    }

    [[nodiscard]] error_code commit() noexcept override {
        committed = true;
        return {};
    }

    std::uint64_t octets = 0;
    bool committed = false;
};

} // namespace tftp::test
