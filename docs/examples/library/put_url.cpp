// Shows: an upload in one line: a file, or what comes on the standard input, which cannot be read
// again: the library keeps one window of it. A named lambda hears of progress.
//
// Run:     put_url FILE tftp://127.0.0.1:6969/cfg    (FILE -: the standard input)
// Observe: how far it has come; one line that says why not, and status 1.

#include <tftp/client.hpp>

#include <iostream>
#include <string_view>

namespace {

constexpr const char* usage = "usage: put_url FILE|- tftp://HOST[:PORT]/FILE[;mode=netascii]\n";

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    if (argc != 3) {
        std::cerr << usage;
        return 2;
    }
    const auto show = [](const tftp::progress& so_far) {
        std::cout << so_far.bytes << " bytes" << std::endl;
        return true; // false ends the transfer
    };
    try {
        if (std::string_view(argv[1]) == "-") {
            tftp::put(argv[2], tftp::stream(std::cin), {.on_progress = show});
        } else {
            tftp::put(argv[2], tftp::file(argv[1]), {.on_progress = show});
        }
    } catch (const tftp::error& failed) {
        std::cerr << "put_url: " << failed.what() << '\n';
        return 1;
    }
}
