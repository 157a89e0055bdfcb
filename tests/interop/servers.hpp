#pragma once

#include "interop/peers.hpp"
#include "support/files.hpp"
#include "support/network.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

namespace tftp::test {

/// A server program that answers at address() until this object is gone.
class running_server {
public:
    running_server(endpoint address, std::unique_ptr<child_process> child)
        : address_{std::move(address)}, child_{std::move(child)} {}

    [[nodiscard]] const endpoint& address() const noexcept { return address_; }

private:
    endpoint address_;
    std::unique_ptr<child_process> child_;
};

/// Each starts one server program on `host` that serves `root`, and waits until it answers.
/// Throws std::runtime_error with the program's messages when it does not.
[[nodiscard]] running_server
start_atftpd(const program& atftpd, const std::string& host, const std::filesystem::path& root);

/// Skips without root, and without an address beside `host`. retransmit: after which time an
/// unanswered block is sent again, doubled with each repeat.
[[nodiscard]] running_server start_in_tftpd(
    const program& in_tftpd,
    const std::string& host,
    const std::filesystem::path& root,
    std::chrono::microseconds retransmit = std::chrono::seconds{1}
);

/// dnsmasq has no option for the port: it takes 69 on 127.0.0.1 and ::1. Call
/// enter_private_network() before. address() is the IPv4 one.
[[nodiscard]] running_server
start_dnsmasq(const program& dnsmasq, const std::filesystem::path& root);

[[nodiscard]] running_server
start_fbtftp(const program& fbtftp, const std::string& host, const std::filesystem::path& root);

/// Ours, on a port of its own choice; clients may create files.
[[nodiscard]] running_server
start_tftpd(const program& tftpd, const std::string& host, const std::filesystem::path& root);

} // namespace tftp::test
