#pragma once

#include <tftp/base/endpoint.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tftp::cli {

/// The addresses of a host, best first; empty when there are none, and then `problem` says why.
struct resolution {
    std::vector<endpoint> addresses;
    std::string problem;
};

/// Looks up `host`, a name or a numeric address, with `port` put into each result.
///
/// family: `none` for either. May block for as long as the resolver of the system does.
[[nodiscard]] resolution
resolve(const std::string& host, std::uint16_t port, address_family family);

} // namespace tftp::cli
