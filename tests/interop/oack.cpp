#include "interop/oack.hpp"

#include <vector>

namespace tftp::test {

std::map<std::string, std::string> options_in(const std::string& datagram) {
    constexpr char rrq = 1;
    constexpr char wrq = 2;
    constexpr char oack = 6;
    std::map<std::string, std::string> options;
    if (datagram.size() < 2 || datagram[0] != 0) {
        return options;
    }
    const char opcode = datagram[1];
    std::vector<std::string> words;
    for (std::size_t at = 2; at < datagram.size(); at += words.back().size() + 1) {
        words.emplace_back(datagram.c_str() + at);
    }
    // A request has its file name and mode in front.
    const std::size_t first = opcode == rrq || opcode == wrq ? 2 : 0;
    if (first == 2 || opcode == oack) {
        for (std::size_t at = first; at + 1 < words.size(); at += 2) {
            options[words[at]] = words[at + 1];
        }
    }
    return options;
}

} // namespace tftp::test
