// Shows: a file fetched with one call that returns when it is there. Nothing shows under its name
// before it is whole.
//
// Run:     blocking_get 127.0.0.1:6969 FILE COPY
// Observe: one line with size and time; COPY holds the file. Status 1 when it failed: no COPY then.

#include <tftp/client/blocking.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/system/system_error.hpp>

#include <chrono>
#include <iostream>
#include <string_view>

namespace {

constexpr const char* usage = "usage: blocking_get ADDRESS:PORT FILE COPY\n";

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    const auto server = tftp::parse_endpoint(argc == 4 ? argv[1] : "", 69);
    if (!server) {
        std::cerr << usage;
        return 2;
    }
    try {
        tftp::client_request asked;
        asked.server = *server;
        asked.filename = argv[2];
        const auto copy = tftp::make_file_sink(argv[3], {}).value();
        const auto ended = tftp::get(asked, *copy);

        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(ended.elapsed);
        std::cout << ended.counters.bytes << " bytes in " << took.count() << " us\n";
    } catch (const boost::system::system_error& failed) {
        std::cerr << "blocking_get: " << failed.code().message() << '\n';
        return 1;
    }
}
