#pragma once

#include "common/socket.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace example {

/// Opens a listening TCP socket. Throws std::system_error.
[[nodiscard]] unique_fd listen_tcp(const tftp::endpoint& where);

/// TCP echo for servers that wait for many descriptors: see service.hpp. Sockets never block;
/// what a client does not take yet stays with its connection, and nothing more is read from it
/// meanwhile.
class echo_service {
public:
    static constexpr bool reads_all = true;

    /// Throws std::system_error.
    explicit echo_service(const tftp::endpoint& where);

    /// Returns where it listens.
    [[nodiscard]] tftp::endpoint address() const { return local_address(listener_); }

    void changes(std::vector<tftp::interest>& out);
    void on_ready(int fd, bool readable, bool writable, tftp::time_point now);

    [[nodiscard]] std::optional<tftp::time_point> deadline() const noexcept { return std::nullopt; }

    void on_deadline(tftp::time_point) noexcept {}

private:
    struct connection {
        unique_fd socket;
        /// Received and not sent back yet.
        std::string pending;
    };

    void accept_all();
    /// Returns false when the connection is over.
    [[nodiscard]] static bool serve(connection& c);

    unique_fd listener_;
    std::unordered_map<int, connection> connections_;
    std::vector<tftp::interest> changed_;
};

} // namespace example
