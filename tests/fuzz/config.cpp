// Any command line of tftpd: it is refused with a usage error, or every part is in its range.
// Addresses that are read come back as they are written in the log.
//
// Input: the words, each with a NUL behind it.
#include "config.hpp"

#include "fuzz/fuzz.hpp"

#include <tftp/socket/socket_address.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace tftp;
using fuzz::require;

namespace {

void check_address(const std::string& text) {
    const result<endpoint> read = parse_endpoint(text, 69);
    if (!read) {
        return;
    }
    require(read->family != address_family::none, "an address of no family");
    const result<endpoint> again = parse_endpoint(to_string(*read), 1);
    require(again.has_value() && *again == *read, "an address changes on its way");
}

void check(const tftpd::config& c) {
    using action = tftpd::config::action;
    if (c.what != action::serve && c.what != action::check) {
        return;
    }
    require(!c.directory.empty(), "no directory");
    for (const endpoint& each : c.listen) {
        require(each.family != address_family::none, "an address of no family");
    }
    require(!c.blksize_max || *c.blksize_max >= blksize_min, "blksize below the range");
    require(!c.blksize_max || *c.blksize_max <= blksize_max, "blksize above the range");
    const std::uint16_t windowsize = c.windowsize_max.value_or(1);
    require(windowsize >= 1 && windowsize <= windowsize_max, "windowsize");
    require(
        !c.port_range || (c.port_range->first != 0 && c.port_range->first <= c.port_range->last),
        "ports"
    );
    require(c.threads <= 1024, "threads");
    constexpr std::size_t most = 1'000'000;
    for (const std::size_t bound :
         {c.limits.transfers_max,
          c.limits.transfers_per_client_max,
          std::size_t{c.limits.requests_per_second},
          std::size_t{c.limits.requests_per_client_per_second}}) {
        require(bound >= 1 && bound <= most, "a limit out of range");
    }
    require(c.grace >= duration(0) && c.grace <= std::chrono::hours(24), "grace");
    require(
        c.engine.give_up >= duration(0) && c.engine.give_up <= std::chrono::hours(24), "give-up"
    );
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    std::vector<std::string> words{"tftpd"};
    for (std::string word; !in.empty();) {
        const auto octet = static_cast<char>(in.u8());
        if (octet != '\0') {
            word += octet;
        }
        if (octet == '\0' || in.empty()) {
            words.push_back(word);
            word.clear();
        }
    }
    std::vector<const char*> pointers;
    for (const std::string& word : words) {
        pointers.push_back(word.c_str());
        check_address(word);
    }
    try {
        check(tftpd::parse(static_cast<int>(pointers.size()), pointers.data()));
    } catch (const tftpd::usage_error& refused) {
        require(*refused.what() != '\0', "a refusal without a word");
    }
    return 0;
}
