#pragma once

#include <tftp/server/async/server.hpp>
#include <tftp/server/service_config.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <memory>
#include <vector>

namespace tftp::detail {

/// Returns how a port that takes requests is opened.
[[nodiscard]] socket_options listen_options(tid_mode tids) noexcept;

/// Binds all addresses of `setup`. Throws listen_error.
[[nodiscard]] std::vector<std::unique_ptr<udp_socket>> bind_listeners(const server::config& setup);

} // namespace tftp::detail
