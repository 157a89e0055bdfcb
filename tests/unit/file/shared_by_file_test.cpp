#include <tftp/file/shared_by_file.hpp>

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <malloc.h>
#include <memory>
#include <stdexcept>

using namespace tftp;

namespace {

file_identity file(std::uint64_t number) {
    return {.inode = number};
}

} // namespace

TEST_CASE("what is shared of a file is made once while it lives", "[io][shared_by_file]") {
    shared_by_file<int> table;
    int made = 0;
    const auto make = [&made] { return std::make_shared<int>(++made); };
    auto first = table.share(file(1), make);
    CHECK(table.share(file(1), make) == first);
    CHECK(*table.share(file(2), make) == 2);
    CHECK(table.size() == 1);
    first.reset();
    CHECK(table.size() == 0);
    CHECK(*table.share(file(1), make) == 3);
}

TEST_CASE("what could not be made is tried again", "[io][shared_by_file]") {
    shared_by_file<int> table;
    CHECK(table.share(file(1), [] { return std::shared_ptr<int>(); }) == nullptr);
    CHECK_THROWS_AS(
        table.share(file(1), []() -> std::shared_ptr<int> { throw std::runtime_error("no"); }),
        std::runtime_error
    );
    CHECK(*table.share(file(1), [] { return std::make_shared<int>(7); }) == 7);
}

TEST_CASE("what nobody shares any more takes no memory for long", "[io][shared_by_file]") {
    shared_by_file<int> table;
    const auto make = [] { return std::make_shared<int>(0); };
    const std::size_t before = ::mallinfo2().uordblks;
    for (std::uint64_t number = 0; number < 100'000; ++number) {
        static_cast<void>(table.share(file(number), make));
    }
    // A hundred entries, not a hundred thousand.
    CHECK(::mallinfo2().uordblks < before + 65536);
}
