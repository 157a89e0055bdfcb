// Any command line of tftp: it is refused with a text that a terminal may be shown, or every part
// is in its range, and written as a command line again it is read as the same.
//
// Input: the words, each with a NUL behind it.
#include "arguments.hpp"

#include "fuzz/fuzz.hpp"

#include <tftp/wire/options.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace tftp;
using fuzz::require;

namespace {

cli::arguments parse(const std::vector<std::string>& words) {
    std::vector<const char*> pointers;
    for (const std::string& word : words) {
        pointers.push_back(word.c_str());
    }
    return cli::parse_arguments(pointers);
}

/// Milliseconds, so that nothing is lost in the decimals.
std::string seconds_text(duration d) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    const std::string decimals = std::to_string(1000 + ms % 1000).substr(1);
    return std::to_string(ms / 1000) + '.' + decimals;
}

std::string text_of(segmentation sends) {
    switch (sends) {
    case segmentation::batch:
        return "batch";
    case segmentation::single:
        return "single";
    default:
        return "gso";
    }
}

std::vector<std::string> written(const cli::arguments& a) {
    std::vector<std::string> words{
        "--port=" + std::to_string(a.port),
        "--mode=" + std::string(to_string(a.mode)),
        "--timeout=" + seconds_text(a.timeout),
        "--retries=" + std::to_string(a.retries)};
    const auto add = [&words](bool given, const std::string& word) {
        if (given) {
            words.push_back(word);
        }
    };
    add(a.blksize.has_value(), "--blksize=" + std::to_string(a.blksize.value_or(0)));
    add(a.windowsize.has_value(), "--windowsize=" + std::to_string(a.windowsize.value_or(0)));
    add(a.give_up.has_value(), "--give-up=" + seconds_text(a.give_up.value_or(duration(0))));
    add(a.family == address_family::ipv4, "-4");
    add(a.family == address_family::ipv6, "-6");
    add(a.verb == transfer_direction::write, "--sends=" + text_of(a.sends));
    add(a.no_options, "--no-options");
    add(a.quiet, "--quiet");
    add(a.json, "--json");
    const bool reads = a.verb == transfer_direction::read;
    const std::string local = a.local.empty() ? "-" : a.local;
    // Behind "--" nothing is an option.
    for (const std::string& word :
         {std::string("--"),
          std::string(reads ? "get" : "put"),
          '[' + a.host + ']',
          reads ? a.remote : local,
          reads ? local : a.remote}) {
        words.push_back(word);
    }
    return words;
}

void check_ranges(const cli::arguments& a) {
    require(!a.host.empty() && !a.remote.empty(), "a transfer from nowhere");
    require(a.port != 0 && a.retries != 0, "a zero");
    require(!a.blksize || (*a.blksize >= blksize_min && *a.blksize <= blksize_max), "blksize");
    require(!a.windowsize || (*a.windowsize >= 1 && *a.windowsize <= windowsize_max), "window");
    require(a.timeout > duration(0) && a.timeout <= std::chrono::hours(1), "timeout");
    require(
        !a.give_up || (*a.give_up > duration(0) && *a.give_up <= std::chrono::hours(1)), "time"
    );
    require(a.verb == transfer_direction::read || !a.local.empty(), "an upload of nothing");
    require(!a.json || !a.local.empty(), "two things on standard output");
}

bool same(const cli::arguments& a, const cli::arguments& b) {
    return a.verb == b.verb && a.host == b.host && a.port == b.port && a.remote == b.remote &&
           a.local == b.local && a.mode == b.mode && a.blksize == b.blksize &&
           a.windowsize == b.windowsize && a.retries == b.retries && a.family == b.family &&
           a.sends == b.sends && a.no_options == b.no_options && a.quiet == b.quiet &&
           a.json == b.json && seconds_text(a.timeout) == seconds_text(b.timeout);
}

bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    });
}

void check_host(const std::string& text) {
    try {
        const cli::host_and_port split = cli::split_host(text);
        require(!split.host.empty() && split.port != 0, "an empty host, or port 0");
        require(split.host.size() <= text.size(), "more than was there");
    } catch (const cli::usage_error& refused) {
        require(printable(refused.what()), "a message that drives a terminal");
    }
    try {
        const std::string name = cli::local_name_for(text);
        require(!name.empty() && name != "." && name != "..", "no name of a file");
        require(name.find('/') == std::string::npos, "a file elsewhere");
    } catch (const cli::usage_error& refused) {
        require(printable(refused.what()), "a message that drives a terminal");
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    std::vector<std::string> words;
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
    for (const std::string& word : words) {
        check_host(word);
    }
    try {
        const cli::arguments read = parse(words);
        if (read.action == cli::action::transfer) {
            check_ranges(read);
            require(same(parse(written(read)), read), "the parts change on their way");
        }
    } catch (const cli::usage_error& refused) {
        require(printable(refused.what()), "a message that drives a terminal");
    }
    return 0;
}
