#include <tftp/wire/uri.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <string>

using namespace tftp;
using namespace std::string_view_literals;

namespace {

std::array<char, 512> buffer;

error_code error_of(std::string_view text) {
    const result<uri> parsed = parse_uri(text, buffer);
    return parsed.has_value() ? error_code() : parsed.error();
}

struct sample {
    std::string_view text;
    std::string_view host;
    std::uint16_t port;
    std::string_view file;
    transfer_mode mode;
};

} // namespace

TEST_CASE("URIs of the form of RFC 3617 are parsed", "[wire][uri][rfc3617]") {
    const auto octet = transfer_mode::octet;
    const auto netascii = transfer_mode::netascii;
    const sample table[] = {
        {"tftp://example.com/myconfig", "example.com", 69, "myconfig", octet},
        {"tftp://example.com/myconfig;mode=netascii", "example.com", 69, "myconfig", netascii},
        {"tftp://example.com/myconfig;mode=octet", "example.com", 69, "myconfig", octet},
        {"TFTP://Example.COM/A;MODE=NetASCII", "Example.COM", 69, "A", netascii},
        {"tftp://192.0.2.1:1069/a/b/c", "192.0.2.1", 1069, "a/b/c", octet},
        {"tftp://host:/a", "host", 69, "a", octet},
        {"tftp://host:65535/a", "host", 65535, "a", octet},
        {"tftp://[2001:db8::1]/a", "2001:db8::1", 69, "a", octet},
        {"tftp://[2001:db8::1]:1069/a", "2001:db8::1", 1069, "a", octet},
        {"tftp://[fe80::1%eth0]/a", "fe80::1%eth0", 69, "a", octet},
        {"tftp://host//absolute", "host", 69, "/absolute", octet},
        {"tftp://host/a%20b%2Fc%3bmode=octet", "host", 69, "a b/c;mode=octet", octet},
        {"tftp://host/%C3%a4", "host", 69, "\xc3\xa4", octet},
        {"tftp://host/a;b", "host", 69, "a;b", octet},
        {"tftp://host/a;mod", "host", 69, "a;mod", octet},
        {"tftp://h_o-s.t~/a", "h_o-s.t~", 69, "a", octet},
    };
    for (const sample& each : table) {
        CAPTURE(each.text);
        const result<uri> parsed = parse_uri(each.text, buffer);
        REQUIRE(parsed.has_value());
        CHECK(parsed.value().host == each.host);
        CHECK(parsed.value().port == each.port);
        CHECK(parsed.value().file == each.file);
        CHECK(parsed.value().mode == each.mode);
    }
}

TEST_CASE("what is no TFTP URI is refused", "[wire][uri][rfc3617]") {
    const std::string_view table[] = {
        "",
        "tftp",
        "tftp:/host/file",
        "http://host/file",
        "host/file",
        "tftp://",
        "tftp:///file",
        "tftp://host",
        "tftp://host/",
        "tftp://host/;mode=octet",
        "tftp://:69/file",
        "tftp://host:0/file",
        "tftp://host:65536/file",
        "tftp://host:99999999999999999999999/file",
        "tftp://host:-1/file",
        "tftp://host:+69/file",
        "tftp://host:69x/file",
        "tftp://host:69:70/file",
        "tftp://ho st/file",
        "tftp://user@host/file",
        "tftp://2001:db8::1/file",
        "tftp://[2001:db8::1/file",
        "tftp://[]/file",
        "tftp://[::1]x/file",
        "tftp://[::1/]/file",
        "tftp://host/a%",
        "tftp://host/a%4",
        "tftp://host/a%4g",
        "tftp://host/a%g4",
        "tftp://host/a%00b",
        "tftp://host/a\0b"sv,
        "tftp://host\0/a"sv,
        "tftp://host/a;mode=mail",
        "tftp://host/a;mode=",
        "tftp://host/a;mode=octet;mode=netascii",
        "tftp://host/a;mode=octet ",
    };
    for (const std::string_view text : table) {
        CAPTURE(text);
        CHECK(error_of(text) == errc::bad_uri);
    }
}

TEST_CASE("a file name that does not fit the buffer is refused", "[wire][uri]") {
    std::array<char, 3> small{};
    CHECK(parse_uri("tftp://host/abc", small).has_value());
    CHECK(parse_uri("tftp://host/%61%62%63", small).has_value());
    const result<uri> parsed = parse_uri("tftp://host/abcd", small);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == errc::too_long);
}

TEST_CASE("the views of a URI borrow text and buffer", "[wire][uri]") {
    const std::string text = "tftp://host/file";
    const result<uri> parsed = parse_uri(text, buffer);
    REQUIRE(parsed.has_value());
    CHECK(parsed.value().host.data() == text.data() + 7);
    CHECK(parsed.value().file.data() == buffer.data());
}

TEST_CASE("no prefix of a URI is read beyond its end", "[wire][uri]") {
    const std::string text = "tftp://[2001:db8::1]:1069/a%20b;mode=netascii";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const std::string exact = text.substr(0, size);
        const result<uri> parsed = parse_uri(exact, buffer);
        CHECK((parsed.has_value() || parsed.error() == errc::bad_uri));
    }
}
