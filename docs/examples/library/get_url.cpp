// Shows: a file of a server in one line. The library looks up the host, chooses options that suit
// the route, and says in the words of the server why it failed.
//
// Run:     get_url tftp://127.0.0.1:6969/boot.cfg
// Observe: the file on the standard output; else one line that says why not, and status 1.

#include <tftp/client.hpp>

#include <chrono>
#include <iostream>
#include <string_view>

using namespace std::chrono_literals;

namespace {

constexpr const char* usage = "usage: get_url tftp://HOST[:PORT]/FILE[;mode=netascii]\n";

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    if (argc != 2) {
        std::cerr << usage;
        return 2;
    }
    try {
        const auto menu = tftp::get(argv[1], {.timeout = 5s}).text();
        std::cout << menu;
    } catch (const tftp::error& failed) {
        std::cerr << "get_url: " << failed.what() << '\n';
        return 1;
    }
}
