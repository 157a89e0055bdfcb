#pragma once

#include "support/udp_client.hpp"

#include <tftp/base/endpoint.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace tftp::test {

/// How a client asks for a file.
struct way {
    std::size_t blksize;
    std::size_t window;
    std::string_view mode = "octet";

    friend std::ostream& operator<<(std::ostream& out, const way& w) {
        return out << "blksize " << w.blksize << ", window " << w.window << ", " << w.mode;
    }
};

/// What came of it.
struct fetched {
    std::string content;
    /// 0 when it was not told, as of an empty file.
    std::uint64_t tsize = 0;
    std::optional<std::uint16_t> error;
};

/// Calls `change` once, when at least `octets` have come.
struct disturbance {
    std::size_t octets = 0;
    std::function<void()> change = [] {};
};

/// Fetches `name`, which may be missing or empty. Fails the test when the server falls silent.
[[nodiscard]] fetched fetch_by(
    const tftp::endpoint& where,
    std::string_view name,
    const way& how,
    const disturbance& meanwhile = {}
);

} // namespace tftp::test
