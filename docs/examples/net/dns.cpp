#include "dns.hpp"

#include "common/program.hpp"
#include "common/socket.hpp"

#include <algorithm>
#include <array>
#include <resolv.h>
#include <stdexcept>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

namespace example::dns {

namespace {

std::string type_name(int type) {
    switch (type) {
    case ns_t_a:
        return "A";
    case ns_t_aaaa:
        return "AAAA";
    case ns_t_cname:
        return "CNAME";
    case ns_t_ptr:
        return "PTR";
    default:
        return "TYPE" + std::to_string(type); // RFC 3597
    }
}

/// The value as text. Its length is what the sender says: it need not be that of the type.
std::string value_text(const ::ns_msg& whole, const ::ns_rr& rr) {
    const bool is_ipv4 = rr.type == ns_t_a && rr.rdlength == sizeof(::in_addr);
    if (is_ipv4 || (rr.type == ns_t_aaaa && rr.rdlength == sizeof(::in6_addr))) {
        std::array<char, INET6_ADDRSTRLEN> out{};
        const int family = is_ipv4 ? AF_INET : AF_INET6;
        ::inet_ntop(family, rr.rdata, out.data(), out.size());
        return out.data();
    }
    if (rr.type == ns_t_cname || rr.type == ns_t_ptr) {
        // Names may point back into the message (compression): it takes the whole of it.
        std::array<char, NS_MAXDNAME> out{};
        const auto* const start = ns_msg_base(whole);
        const auto* const end = ns_msg_end(whole);
        if (::ns_name_uncompress(start, end, rr.rdata, out.data(), out.size()) < 0) {
            throw std::runtime_error("the answer holds a name that is none");
        }
        return out.data();
    }
    return std::to_string(rr.rdlength) + " bytes";
}

} // namespace

message make_query(const std::string& name, int type) {
    message out(NS_PACKETSZ);
    const int size = ::res_mkquery(
        ns_o_query,
        name.c_str(),
        ns_c_in,
        type,
        nullptr,
        0,
        nullptr,
        out.data(),
        static_cast<int>(out.size())
    );
    if (size < 0) {
        throw usage_error("'" + name + "' is no name of the DNS");
    }
    out.resize(static_cast<std::size_t>(size));
    // The ID is the password of the answer (RFC 5452): only the kernel's random numbers do.
    check(::getrandom(out.data(), 2, 0), "getrandom");
    return out;
}

std::string reverse_name(const tftp::endpoint& address) {
    std::string out;
    if (address.family == tftp::address_family::ipv4) {
        for (std::size_t i = 4; i-- > 0;) {
            out += std::to_string(address.address[i]) + '.';
        }
        return out + "in-addr.arpa";
    }
    constexpr const char* digits = "0123456789abcdef";
    for (std::size_t i = address.address.size(); i-- > 0;) {
        out += digits[address.address[i] & 0xfU];
        out += '.';
        out += digits[address.address[i] >> 4U];
        out += '.';
    }
    return out + "ip6.arpa";
}

unsigned id_of(message_view octets) {
    return (unsigned{octets[0]} << 8U) | octets[1];
}

std::string mismatch(message_view query, message_view datagram) {
    if (datagram.size() < NS_HFIXEDSZ) {
        return "is no DNS message";
    }
    if (id_of(datagram) != id_of(query)) {
        return "has ID " + std::to_string(id_of(datagram)) + ", not " +
               std::to_string(id_of(query));
    }
    constexpr unsigned response_bit = 0x80;
    if ((datagram[2] & response_bit) == 0) {
        return "is a question itself";
    }
    // The question is all there is behind the header of a query; it comes back octet for octet.
    // The count of questions is at bytes 4 and 5.
    const message_view question = query.subspan(NS_HFIXEDSZ);
    if (datagram.size() < query.size() || datagram[4] != query[4] || datagram[5] != query[5] ||
        !std::equal(question.begin(), question.end(), datagram.begin() + NS_HFIXEDSZ)) {
        return "answers another question";
    }
    return "";
}

reply parse(message_view datagram) {
    ::ns_msg whole{};
    if (::ns_initparse(datagram.data(), static_cast<int>(datagram.size()), &whole) != 0) {
        throw std::runtime_error("the answer is no whole DNS message");
    }
    reply out;
    out.code = ::ns_msg_getflag(whole, ns_f_rcode);
    out.truncated = ::ns_msg_getflag(whole, ns_f_tc) != 0;
    for (int i = 0; i < ns_msg_count(whole, ns_s_an); ++i) {
        ::ns_rr rr{};
        if (::ns_parserr(&whole, ns_s_an, i, &rr) != 0) {
            throw std::runtime_error("the answer holds a record that is none");
        }
        out.records.push_back({ns_rr_name(rr), type_name(rr.type), rr.ttl, value_text(whole, rr)});
    }
    return out;
}

std::string code_name(int code) {
    static constexpr std::array names{
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
    const auto place = static_cast<std::size_t>(code);
    return place < names.size() ? names.at(place) : "code " + std::to_string(code);
}

} // namespace example::dns
