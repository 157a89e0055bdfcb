#pragma once

#include <array>

namespace example {

/// Addresses that are set apart for something.
struct special_range {
    const char* first;
    unsigned prefix;
    const char* what;
};

/// The registries of special addresses (RFC 6890), the narrower before the wider. The first that
/// holds an address counts; the last of each family holds all.
inline constexpr std::array special_ranges{
    special_range{"0.0.0.0", 8, "this network (RFC 1122)"},
    special_range{"10.0.0.0", 8, "private (RFC 1918)"},
    special_range{"100.64.0.0", 10, "shared, behind the NAT of a provider (RFC 6598)"},
    special_range{"127.0.0.0", 8, "loopback (RFC 1122)"},
    special_range{"169.254.0.0", 16, "link-local (RFC 3927)"},
    special_range{"172.16.0.0", 12, "private (RFC 1918)"},
    special_range{"192.0.0.0", 24, "protocol assignments (RFC 6890)"},
    special_range{"192.0.2.0", 24, "documentation (RFC 5737)"},
    special_range{"192.168.0.0", 16, "private (RFC 1918)"},
    special_range{"198.18.0.0", 15, "benchmarks (RFC 2544)"},
    special_range{"198.51.100.0", 24, "documentation (RFC 5737)"},
    special_range{"203.0.113.0", 24, "documentation (RFC 5737)"},
    special_range{"224.0.0.0", 24, "multicast of this link (RFC 5771)"},
    special_range{"239.0.0.0", 8, "multicast, private (RFC 2365)"},
    special_range{"224.0.0.0", 4, "multicast (RFC 5771)"},
    special_range{"255.255.255.255", 32, "broadcast of this link (RFC 919)"},
    special_range{"240.0.0.0", 4, "reserved (RFC 1112)"},
    special_range{"0.0.0.0", 0, "public"},
    special_range{"::", 128, "unspecified (RFC 4291)"},
    special_range{"::1", 128, "loopback (RFC 4291)"},
    special_range{"::ffff:0:0", 96, "an IPv4 address in IPv6 form (RFC 4291)"},
    special_range{"64:ff9b::", 96, "an IPv4 address behind NAT64 (RFC 6052)"},
    special_range{"2001:db8::", 32, "documentation (RFC 3849)"},
    special_range{"3fff::", 20, "documentation (RFC 9637)"},
    special_range{"2002::", 16, "6to4 (RFC 3056)"},
    special_range{"2000::", 3, "global (RFC 4291)"},
    special_range{"fc00::", 7, "unique local, the private of IPv6 (RFC 4193)"},
    special_range{"fe80::", 10, "link-local (RFC 4291)"},
    special_range{"ff01::", 16, "multicast of this interface (RFC 4291)"},
    special_range{"ff02::", 16, "multicast of this link (RFC 4291)"},
    special_range{"ff05::", 16, "multicast of this site (RFC 4291)"},
    special_range{"ff0e::", 16, "multicast, global (RFC 4291)"},
    special_range{"ff00::", 8, "multicast (RFC 4291)"},
    special_range{"::", 0, "reserved (RFC 4291)"},
};

} // namespace example
