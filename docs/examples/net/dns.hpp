#pragma once

#include <tftp/base/endpoint.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace example::dns {

/// A DNS message as it travels (RFC 1035 s. 4).
using message = std::vector<unsigned char>;
using message_view = std::span<const unsigned char>;

/// One record of an answer. Names in it are written out with unprintable bytes as \DDD.
struct record {
    std::string name;
    /// "A", "CNAME"; "TYPE65" for those not known here.
    std::string type;
    std::uint32_t ttl_seconds = 0;
    std::string value;
};

struct reply {
    /// 0 is NOERROR, 3 is NXDOMAIN: there is no such name (RFC 1035 s. 4.1.1).
    int code = 0;
    /// The rest did not fit into a datagram.
    bool truncated = false;
    std::vector<record> records;
};

/// Returns a question for the addresses (ns_t_a, ns_t_aaaa) of a name or the name of an address
/// (ns_t_ptr), with an ID that nobody can guess. Throws usage_error when `name` is no name.
[[nodiscard]] message make_query(const std::string& name, int type);

/// Returns the name under which the DNS keeps the name of an address: 1.2.0.192.in-addr.arpa
/// (RFC 1035 s. 3.5, RFC 3596 s. 2.5).
[[nodiscard]] std::string reverse_name(const tftp::endpoint& address);

/// Returns the ID of a message of at least two bytes.
[[nodiscard]] unsigned id_of(message_view octets);

/// Returns why `datagram` is not the answer to `query`; empty when it is.
///
/// ID and question are looked at (RFC 5452 s. 9.1), not where it came from.
[[nodiscard]] std::string mismatch(message_view query, message_view datagram);

/// Reads an answer. Throws std::runtime_error when it is no whole DNS message.
[[nodiscard]] reply parse(message_view datagram);

/// Returns "NXDOMAIN" for 3, and so on.
[[nodiscard]] std::string code_name(int code);

} // namespace example::dns
