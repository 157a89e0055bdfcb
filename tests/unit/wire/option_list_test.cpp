#include <tftp/wire/option_list.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace tftp;
using namespace std::string_view_literals;

static_assert(std::forward_iterator<option_list::iterator>);

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

pairs all(const option_list& options) {
    pairs found;
    for (const option_list::entry& each : options) {
        found.emplace_back(each.name, each.value);
    }
    return found;
}

} // namespace

TEST_CASE("an option list without bytes is empty", "[wire][option_list]") {
    CHECK(option_list().empty());
    CHECK(option_list().begin() == option_list().end());
    CHECK(all(option_list()).empty());
    CHECK(option_list(""sv).empty());
    CHECK_FALSE(option_list().find("blksize"));
}

TEST_CASE("options are seen in wire order", "[wire][option_list][rfc2347]") {
    const option_list options("tsize\0000\0BLKSIZE\0001468\0multicast\0\0"sv);
    CHECK(all(options) == pairs{{"tsize", "0"}, {"BLKSIZE", "1468"}, {"multicast", ""}});
}

TEST_CASE("option names match in any letter case", "[wire][option_list][rfc2347]") {
    const option_list options("BlkSize\0001468\0"sv);
    CHECK(options.find("blksize") == "1468"sv);
    CHECK(options.find("BLKSIZE") == "1468"sv);
    CHECK_FALSE(options.find("blksiz"));
    CHECK_FALSE(options.find("blksize2"));
    CHECK_FALSE(options.find(""));
}

TEST_CASE("the first of two options of the same name is found", "[wire][option_list]") {
    CHECK(option_list("tsize\0001\0TSIZE\0002\0"sv).find("tsize") == "1"sv);
}

TEST_CASE("a trailing fragment is dropped", "[wire][option_list]") {
    const pairs one{{"a", "1"}};
    CHECK(all(option_list("a\0001\0"sv)) == one);
    CHECK(all(option_list("a\0001\0b"sv)) == one);
    CHECK(all(option_list("a\0001\0b\0"sv)) == one);
    CHECK(all(option_list("a\0001\0b\0002"sv)) == one);
    CHECK(all(option_list("a"sv)).empty());
    CHECK(all(option_list("a\0"sv)).empty());
    CHECK(all(option_list("a\0001"sv)).empty());
}

TEST_CASE("padding with NULs ends the list", "[wire][option_list]") {
    CHECK(all(option_list("a\0001\0\0\0\0"sv)) == pairs{{"a", "1"}});
    CHECK(option_list("\0\0\0\0"sv).empty());
    CHECK(option_list("\0blksize\0001024\0"sv).empty());
}

TEST_CASE("option iterators step and compare", "[wire][option_list]") {
    const option_list options("a\0001\0b\0002\0"sv);
    option_list::iterator at = options.begin();
    const option_list::iterator first = at++;
    CHECK((*first).name == "a");
    CHECK((*at).name == "b");
    CHECK(first == options.begin());
    CHECK(first != at);
    CHECK(at != options.end());
    CHECK(++at == options.end());
    CHECK((*at).name.empty());
    CHECK(++at == options.end());
    CHECK(std::distance(options.begin(), options.end()) == 2);
}

TEST_CASE("an iterator over a fragment is at its end", "[wire][option_list]") {
    constexpr std::string_view fragment = "blksize"sv;
    CHECK((*option_list::iterator(fragment)).name.empty());
}

TEST_CASE("no prefix of an option list makes it read outside", "[wire][option_list]") {
    constexpr std::string_view tail = "tsize\0000\0blksize\0001468\0x\0\0"sv;
    for (std::size_t size = 0; size <= tail.size(); ++size) {
        // An allocation of exactly this size lets the sanitizer see each byte too far.
        const auto exact = std::make_unique<char[]>(size);
        std::copy_n(tail.begin(), size, exact.get());
        const pairs found = all(option_list(std::string_view(exact.get(), size)));
        std::size_t complete = 0;
        for (const std::size_t end : {8U, 21U, 24U}) {
            complete += size >= end ? 1U : 0U;
        }
        CHECK(found.size() == complete);
    }
}
