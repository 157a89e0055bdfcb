#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_table.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

using namespace tftp;
using namespace tftp::test;

namespace {

std::shared_ptr<const opened_file> open_file(const std::string& path) {
    auto file = opened_file::adopt(unique_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
    REQUIRE(file.has_value());
    return std::move(file).value();
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

} // namespace

TEST_CASE("file table shares one descriptor between openings of a file", "[io][file_table]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "content");
    file_table table;
    const auto first = table.share(open_file(path));
    const auto second = table.share(open_file(path));
    CHECK(first == second);
    CHECK(table.size() == 1);
    CHECK(table.share(open_file(directory.write("g", "content"))) != first);
}

TEST_CASE("file table lets go of a file with its last user", "[io][file_table]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "content");
    file_table table;
    auto file = table.share(open_file(path));
    const int fd = file->native_handle();
    auto again = table.share(open_file(path));
    file.reset();
    CHECK(is_open(fd));
    again.reset();
    CHECK_FALSE(is_open(fd));
    CHECK(table.size() == 0);
    CHECK(table.share(open_file(path)) != nullptr);
}

TEST_CASE("file table takes a replaced or changed file for another one", "[io][file_table]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "content");
    file_table table;
    const auto before = table.share(open_file(path));

    std::filesystem::rename(directory.write("new", "CONTENT"), path);
    const auto replaced = table.share(open_file(path));
    CHECK(replaced != before);

    std::ofstream(path, std::ios::app) << "more";
    const auto grown = table.share(open_file(path));
    CHECK(grown != replaced);

    const std::timespec times[2] = {{1, 0}, {1, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    CHECK(table.share(open_file(path)) != grown);
    CHECK(table.size() == 3);
}

TEST_CASE("file table does not grow with files long gone", "[io][file_table]") {
    const temp_directory directory;
    file_table table;
    std::vector<std::shared_ptr<const opened_file>> kept;
    for (int i = 0; i < 500; ++i) {
        auto file = table.share(open_file(directory.write(std::to_string(i), std::to_string(i))));
        if (i % 50 == 0) {
            kept.push_back(std::move(file));
        }
    }
    CHECK(table.size() == kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
        CHECK(table.share(open_file(directory / std::to_string(i * 50))) == kept[i]);
    }
}
