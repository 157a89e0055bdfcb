#pragma once

#include "support/builders.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/base/unique_fd.hpp>

#include <string>
#include <vector>

namespace tftp::test {

/// Runs ip(8) with these arguments; fails the test when it fails.
void run_ip(const std::vector<std::string>& arguments);

/// Sends UDP datagrams over IPv4 whose source is whatever it is told. Needs CAP_NET_RAW.
class forged_sender {
public:
    /// Throws std::system_error when the system does not allow it.
    forged_sender();

    /// Sends one datagram; throws std::system_error when the system does not take it.
    void send(const tftp::endpoint& from, const tftp::endpoint& to, const datagram& payload) const;

private:
    unique_fd socket_;
};

} // namespace tftp::test
