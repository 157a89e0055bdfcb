#include <tftp/file/name_policy.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <string_view>

using namespace tftp;
using namespace std::string_literals;

namespace {

/// Returns the normalised name, or what is wrong with it.
std::string normalised(std::string_view requested) {
    std::array<char, name_octets_max> out{};
    const result<std::size_t> length = normalise_name(requested, out);
    if (!length) {
        return length.error().message();
    }
    return {out.data(), *length};
}

const std::string bad = make_error_code(errc::bad_name).message();
const std::string not_a_file = make_error_code(errc::not_regular).message();

} // namespace

TEST_CASE("names are brought to plain components", "[io][name_policy]") {
    CHECK(normalised("pxelinux.0") == "pxelinux.0");
    CHECK(normalised("/pxelinux.0") == "pxelinux.0");
    CHECK(normalised("///boot//a/./b") == "boot/a/b");
    CHECK(normalised("./././a") == "a");
    CHECK(normalised("\\Boot\\BCD") == "Boot/BCD");
    CHECK(normalised("/boot\\x64/\\wdsnbp.com") == "boot/x64/wdsnbp.com");
    CHECK(normalised("a b\xc3\xa9\xff") == "a b\xc3\xa9\xff");
}

TEST_CASE("names without a special meaning here stay as they are", "[io][name_policy]") {
    CHECK(normalised("C:\\boot\\a") == "C:/boot/a");
    CHECK(normalised("%2e%2e/a") == "%2e%2e/a");
    CHECK(normalised("....//a") == "..../a");
    CHECK(normalised(".../a") == ".../a");
    CHECK(normalised("..a/b..") == "..a/b..");
    CHECK(normalised(".hidden") == ".hidden");
}

TEST_CASE("names that begin with the parent are refused in every spelling", "[io][name_policy]") {
    for (const char* name :
         {"..", "../a", "/../a", "..\\a", ".././a", "//..//a", "./../a", "\\..\\a"}) {
        CAPTURE(name);
        CHECK(normalised(name) == bad);
    }
}

TEST_CASE("a parent behind a component stays, and says how far it goes", "[io][name_policy]") {
    CHECK(normalised("a/../b") == "a/../b");
    CHECK(normalised("/a\\..//./b") == "a/../b");
    CHECK(normalised("a/..") == not_a_file);
    CHECK(normalised("a/../") == not_a_file);
    for (const char* name : {"a", "a/../b", "a/b/../../c", "a/../b/../c", "..a/..b"}) {
        CAPTURE(name);
        CHECK_FALSE(climbs_out(name));
    }
    for (const char* name : {"a/../../b", "a/../../a/b", "a/b/../../../c"}) {
        CAPTURE(name);
        CHECK(climbs_out(name));
    }
}

TEST_CASE("backslashes are octets of a name where they separate nothing", "[io][name_policy]") {
    std::array<char, name_octets_max> out{};
    const auto plain = [&out](std::string_view requested) {
        const auto length = normalise_name(requested, out, separators::slashes);
        return length ? std::string(out.data(), *length) : length.error().message();
    };
    CHECK(plain("/a\\b/c") == "a\\b/c");
    CHECK(plain("..\\a") == "..\\a");
    CHECK(plain("a\\") == "a\\");
    CHECK(plain("../a\\b") == bad);
    CHECK(plain(std::string(128, 'a') + '\\' + std::string(128, 'a')) == bad);
}

TEST_CASE("what is behind the path of a directory is found", "[io][name_policy]") {
    CHECK(name_behind("srv/tftp/a/b", "srv/tftp") == "a/b");
    CHECK(name_behind("srv/tftp", "srv/tftp").empty());
    CHECK(name_behind("srv/tftp", "srv/tftp").data() != nullptr);
    for (const char* name : {"srv/tftpd/a", "srv", "a/srv/tftp/b", "srv/tft"}) {
        CAPTURE(name);
        CHECK(name_behind(name, "srv/tftp").data() == nullptr);
    }
    CHECK(name_behind("a", "").data() == nullptr);
}

TEST_CASE("names without a file are refused", "[io][name_policy]") {
    for (const char* name : {"", "/", "//", "\\", ".", "./", "/./"}) {
        CAPTURE(name);
        CHECK(normalised(name) == bad);
    }
    CHECK(normalised("a/") == not_a_file);
    CHECK(normalised("a/b\\") == not_a_file);
}

TEST_CASE("control octets in names are refused", "[io][name_policy]") {
    for (int octet = 0; octet < 0x20; ++octet) {
        CHECK(normalised("a"s + static_cast<char>(octet) + "b") == bad);
    }
    CHECK(normalised("a\x7f") == bad);
    CHECK(normalised("\0"s) == bad);
}

TEST_CASE("names of temporary files cannot be asked for", "[io][name_policy]") {
    CHECK(normalised(".tftp-0123456789abcdef") == bad);
    CHECK(normalised("a/.tftp-x") == bad);
    CHECK(normalised(".tftp-/a") == bad);
    CHECK(normalised(".tftpd") == ".tftpd");
    CHECK(normalised("a.tftp-x") == "a.tftp-x");
}

TEST_CASE("names are bounded as a whole and by component", "[io][name_policy]") {
    CHECK(normalised(std::string(255, 'a')) == std::string(255, 'a'));
    CHECK(normalised(std::string(256, 'a')) == bad);

    std::string deep;
    while (deep.size() + 2 <= name_octets_max) {
        deep += "a/";
    }
    deep.back() = 'b';
    CHECK(deep.size() == name_octets_max);
    CHECK(normalised(deep) == deep);
    CHECK(normalised("/./" + deep) == deep);
    CHECK(normalised(deep + "b") == bad);

    std::array<char, 5> small{};
    CHECK(normalise_name("ab/cd", small).has_value());
    CHECK(normalise_name("ab/cde", small).error() == errc::bad_name);
    CHECK(normalise_name("a", {}).error() == errc::bad_name);
}

TEST_CASE("temporary files have no other spelling either", "[io][name_policy]") {
    for (const char* name :
         {".tftp-0123456789abcdef",
          ".TFTP-0123456789abcdef",
          ".Tftp-x",
          ".tFtP-",
          "dir/.TFTP-x",
          // Marks that cannot be seen, which file systems that fold case pass over.
          ".t\u200cftp-x",
          "\ufeff.tftp-x",
          ".TFTP\u00ad-x"}) {
        CAPTURE(name);
        CHECK(normalised(name) == bad);
    }
    for (const char* name : {".tftp", "tftp-x", ".tftpd-x", "x.tftp-", ".tft\u00e9-x"}) {
        CAPTURE(name);
        CHECK(normalised(name) == name);
    }
}

TEST_CASE("all spellings of a directory have one lane", "[io][name_policy][lanes]") {
    const std::uint64_t lane = name_lane("images/a");
    CHECK(lane != 0);
    for (const char* name :
         {"images/b/c",
          "/images/a",
          "//images//a",
          "./images/a",
          "/./images/a",
          "\\images\\a",
          "IMAGES/a",
          "Images\\A",
          "other/../images/a",
          "images/../images/a",
          "../images/a",
          "a/b/../../iMages/x",
          "x/../IMAGES\\a"}) {
        CAPTURE(name);
        CHECK(name_lane(name) == lane);
    }
    for (const char* name : {"image/a", "imagesx/a", "a/images", "images/../a/b", "", "/"}) {
        CAPTURE(name);
        CHECK(name_lane(name) != lane);
        CHECK(name_lane(name) != 0);
    }
    // How a file system folds these is not known: they are two lanes at most, whatever they mean.
    const std::uint64_t beyond = name_lane("image\u017f/a");
    CHECK(beyond != lane);
    CHECK(name_lane("\u00e9t\u00e9/a") == beyond);
    CHECK(name_lane("im\u200cages/a") == beyond);
    CHECK(name_lane("images/\u00e9") == lane);
}
