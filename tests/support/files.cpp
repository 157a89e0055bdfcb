#include "support/files.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <system_error>

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::test {

temp_dir::temp_dir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tftp-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
        throw std::system_error{errno, std::system_category(), pattern};
    }
    path_ = pattern;
    std::filesystem::permissions(path_, std::filesystem::perms::all);
}

temp_dir::~temp_dir() {
    std::error_code ignored; // A leftover file is no reason to terminate in a destructor.
    std::filesystem::remove_all(path_, ignored);
}

std::string make_content(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 generator{seed};
    std::string content(size, '\0');
    for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
        const std::uint64_t word = generator();
        std::memcpy(content.data() + at, &word, std::min(sizeof word, size - at));
    }
    return content;
}

std::string read_file(const std::filesystem::path& file) {
    std::ifstream input{file, std::ios::binary};
    if (!input) {
        throw std::runtime_error{"cannot read " + file.string()};
    }
    // From one descriptor: what has the name may be replaced meanwhile.
    return {std::istreambuf_iterator<char>(input), {}};
}

void write_file(const std::filesystem::path& file, std::string_view content) {
    std::ofstream output{file, std::ios::binary | std::ios::trunc};
    output.write(content.data(), static_cast<std::streamsize>(content.size()));
    output.close();
    if (!output || ::chmod(file.c_str(), 0666) != 0) {
        throw std::runtime_error{"cannot write " + file.string()};
    }
}

bool holds(const std::filesystem::path& file, std::string_view expected) {
    std::error_code missing;
    const std::uintmax_t size = std::filesystem::file_size(file, missing);
    return !missing && size == expected.size() && read_file(file) == expected;
}

bool wait_until_holds(
    const std::filesystem::path& file, std::string_view expected, std::chrono::milliseconds limit
) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    const int events = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (events < 0) {
        throw std::system_error{errno, std::system_category(), "inotify_init1"};
    }
    ::inotify_add_watch(
        events, file.parent_path().c_str(), IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_CREATE
    );
    bool found = holds(file, expected);
    while (!found) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now()
        );
        pollfd waited{events, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&waited, 1, static_cast<int>(left.count())) <= 0) {
            break;
        }
        std::array<char, 4096> drained;
        while (::read(events, drained.data(), drained.size()) > 0) {
        }
        found = holds(file, expected);
    }
    ::close(events);
    return found;
}

} // namespace tftp::test
