#include <tftp/file/export_root.hpp>
#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <config.hpp>
#include <string>
#include <utility>
#include <vector>

using namespace tftpd;
using Catch::Matchers::Message;

namespace {

config parse_all(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "tftpd");
    arguments.push_back("/srv/tftp");
    return parse(static_cast<int>(arguments.size()), arguments.data());
}

} // namespace

TEST_CASE("no group of machines is listened for", "[tftpd][config][rfc1123]") {
    for (const std::string many :
         {"224.0.0.1",
          "224.0.0.1:0",
          "239.255.255.255:69",
          "255.255.255.255",
          "255.255.255.255:0",
          "ff00::",
          "[ff02::1%lo]:0",
          "[ffff::1]:69"}) {
        INFO(many);
        CHECK_THROWS_MATCHES(
            parse_all({"--listen", "127.0.0.1", "--listen", many.c_str()}),
            usage_error,
            Message("--listen takes no broadcast or multicast address, as '" + many + "' is one")
        );
    }
    for (const std::string one :
         {"0.0.0.0:69",
          "223.255.255.255:69",
          "240.0.0.1:69",
          "255.255.255.254:69",
          "[::]:69",
          "[fe80::1%lo]:69",
          "[feff::1]:69"}) {
        INFO(one);
        const config read = parse_all({"--listen", one.c_str()});
        REQUIRE(read.listen.size() == 1);
        CHECK(tftp::to_string(read.listen.front()) == one);
    }
}

TEST_CASE("what says how to take uploads needs --writable", "[tftpd][config]") {
    const std::vector<std::pair<std::string, const char*>> options = {
        {"--overwrite", "deny"},
        {"--overwrite", "keep=3"},
        {"--upload-method", "in-place"},
        {"--upload-dir", "/srv/in"},
        {"--spool-dir", "/var/spool/tftp"},
        {"--umask", "077"},
        {"--quota-file", "1000"},
        {"--quota-total", "1000"},
    };
    for (const auto& [option, value] : options) {
        INFO(option << ' ' << value);
        const std::string refusal = option + " needs --writable existing or --writable create";
        CHECK_THROWS_MATCHES(parse_all({option.c_str(), value}), usage_error, Message(refusal));
        CHECK_THROWS_MATCHES(
            parse_all({option.c_str(), value, "--writable", "never"}), usage_error, Message(refusal)
        );
        for (const char* writable : {"existing", "create"}) {
            CHECK_NOTHROW(parse_all({option.c_str(), value, "--writable", writable}));
        }
    }
    CHECK(parse_all({"--fsync", "no"}).access.writable == tftp::writable::never);
}

TEST_CASE("links are followed as --symlinks says, and to --link-target", "[tftpd][config]") {
    using tftp::symlinks;
    CHECK(parse_all({}).access.symlinks == symlinks::inside);
    CHECK(parse_all({"--symlinks", "no"}).access.symlinks == symlinks::no);
    CHECK(parse_all({"--symlinks", "chroot"}).access.symlinks == symlinks::chroot);
    const config follows =
        parse_all({"--symlinks", "follow", "--link-target", "/srv/a", "--link-target=/srv/b"});
    CHECK(follows.access.symlinks == symlinks::follow);
    CHECK(follows.access.link_targets == std::vector<std::string>{"/srv/a", "/srv/b"});
    CHECK_THROWS_MATCHES(
        parse_all({"--symlinks", "follow"}),
        usage_error,
        Message("--symlinks follow needs --link-target DIR: where may links lead to?")
    );
    for (const char* other : {"no", "inside", "chroot"}) {
        CHECK_THROWS_MATCHES(
            parse_all({"--symlinks", other, "--link-target", "/srv/a"}),
            usage_error,
            Message("--link-target needs --symlinks follow")
        );
    }
    CHECK_THROWS_MATCHES(
        parse_all({"--symlinks", "follow", "--link-target", ""}),
        usage_error,
        Message("--link-target takes a directory, not ''")
    );
}

TEST_CASE("--serve says whose right to read counts", "[tftpd][config]") {
    CHECK(parse_all({}).access.require_world_readable);
    CHECK(parse_all({"--serve", "world"}).access.require_world_readable);
    CHECK_FALSE(parse_all({"--serve", "readable"}).access.require_world_readable);
}

TEST_CASE("--upload-method, --spool-dir and --umask say how files are written", "[tftpd][config]") {
    using tftp::upload_method;
    const config by_default = parse_all({"--writable", "create"});
    CHECK(by_default.access.method == upload_method::automatic);
    CHECK(by_default.umask == 022);
    CHECK_FALSE(by_default.spool_directory);
    const auto read = [](const char* option, const char* value) {
        return parse_all({"--writable", "create", option, value});
    };
    CHECK(read("--upload-method", "auto").access.method == upload_method::automatic);
    CHECK(read("--upload-method", "rename").access.method == upload_method::rename);
    CHECK(read("--upload-method", "in-place").access.method == upload_method::in_place);
    CHECK_THROWS_MATCHES(
        read("--upload-method", "copy"),
        usage_error,
        Message("--upload-method takes one of auto, rename, in-place, not 'copy'")
    );
    CHECK(read("--spool-dir", "/spool").spool_directory == "/spool");
    CHECK_THROWS_MATCHES(
        parse_all(
            {"--writable", "create", "--upload-method", "rename", "--spool-dir", "/var/spool/tftp"}
        ),
        usage_error,
        Message("--spool-dir has no meaning with --upload-method rename")
    );
    for (const auto& [text, mask] : std::vector<std::pair<const char*, ::mode_t>>{
             {"0", 0}, {"22", 022}, {"022", 022}, {"0022", 022}, {"777", 0777}}) {
        CHECK(read("--umask", text).umask == mask);
    }
    for (const std::string text : {"", "8", "0x1", "1000", "-1", " 22", "u=rwx", "22 "}) {
        CHECK_THROWS_MATCHES(
            read("--umask", text.c_str()),
            usage_error,
            Message("--umask takes an octal number from 0 to 777, not '" + text + "'")
        );
    }
}
