#include <tftp/base/unique_fd.hpp>

#include <catch2/catch.hpp>

#include <type_traits>
#include <utility>

#include <fcntl.h>

using tftp::unique_fd;

namespace {

int open_null() {
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

} // namespace

static_assert(!std::is_copy_constructible_v<unique_fd>);
static_assert(!std::is_copy_assignable_v<unique_fd>);
static_assert(std::is_nothrow_move_constructible_v<unique_fd>);

TEST_CASE("a descriptor is closed at the end of its owner", "[io][unique_fd]") {
    int number = -1;
    {
        const unique_fd fd(open_null());
        REQUIRE(fd);
        number = fd.get();
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("a negative descriptor means nothing is owned", "[io][unique_fd]") {
    CHECK_FALSE(unique_fd());
    CHECK_FALSE(unique_fd(-1));
    CHECK(unique_fd(-7).get() == -1);
}

TEST_CASE("a move passes ownership on and closes what was owned before", "[io][unique_fd]") {
    unique_fd a(open_null());
    unique_fd b(open_null());
    const int first = a.get();
    const int second = b.get();

    a = std::move(b);
    CHECK(a.get() == second);
    CHECK_FALSE(is_open(first));
    CHECK(is_open(second));

    const unique_fd c(std::move(a));
    CHECK(c.get() == second);
    CHECK(is_open(second));
}

TEST_CASE("a released descriptor stays open, a reset one does not", "[io][unique_fd]") {
    unique_fd fd(open_null());
    const int number = fd.release();
    CHECK_FALSE(fd);
    CHECK(is_open(number));

    fd.reset(number);
    fd.reset();
    CHECK_FALSE(is_open(number));
}
