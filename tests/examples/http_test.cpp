#include "examples/example.hpp"
#include "support/files.hpp"
#include "support/process.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace tftp::test;

namespace {

constexpr auto limit = example_limit;

/// http_server with a directory that holds `file`, `a name`, `sub/index.html` and `empty`; beside
/// it a file that must never be seen.
struct served_directory {
    served_directory() : content(make_content(300'000, 1)) {
        std::filesystem::create_directories(root / "sub");
        write_file(root / "file", content);
        write_file(root / "a name", "spaced");
        write_file(root / "sub" / "index.html", "index");
        write_file(root / "empty", "");
        write_file(directory.path() / "secret", "secret");
        std::filesystem::create_symlink("../secret", root / "link");
    }

    [[nodiscard]] std::string url(const std::string& target) const {
        return "http://" + server.address + target;
    }

    temp_dir directory;
    std::filesystem::path root = directory.path() / "root";
    std::string content;
    running_server server{start()};

private:
    [[nodiscard]] std::vector<std::string> start() const {
        std::filesystem::create_directories(root);
        return {"http_server", "127.0.0.1:0", root.string()};
    }
};

/// Runs curl; no proxy and no file of the user has a say.
run_result curl(std::vector<std::string> words) {
    command what;
    what.argv = {"curl", "--disable", "--silent", "--show-error", "--noproxy", "*"};
    what.argv.insert(what.argv.end(), words.begin(), words.end());
    return run(what, limit);
}

/// The status of the answer to one request.
std::string status_of(std::vector<std::string> words) {
    words.insert(
        words.end(),
        {"--path-as-is", "--globoff", "--output", "/dev/null", "--write-out", "%{http_code}"}
    );
    return curl(std::move(words)).output;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("http_server explains itself", "[examples]") {
    check_explains_itself("http_server");
    check_refuses({"http_server", "nowhere", "/"}, "ADDRESS:PORT is an address in figures");
    const run_result directory = run_example({"http_server", "127.0.0.1:0", "/no/such/place"});
    CHECK(directory.status == 2);
    CHECK(directory.errors.starts_with("http_server: /no/such/place: "));
    CHECK(std::count(directory.errors.begin(), directory.errors.end(), '\n') == 1);
}

TEST_CASE("http_server serves files whole", "[examples]") {
    const served_directory served;
    const std::string copy = served.directory.path() / "copy";
    const run_result got = curl({"--dump-header", "-", "--output", copy, served.url("/file")});
    INFO(got.output << got.errors);
    CHECK(got.status == 0);
    CHECK(got.output.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(got.output, "\r\nContent-Length: 300000\r\n"));
    CHECK(holds(copy, served.content));
    CHECK(curl({served.url("/a%20name?x=y")}).output == "spaced");
    CHECK(curl({served.url("/sub/")}).output == "index");
    CHECK(curl({served.url("/empty")}).output.empty());
    CHECK(status_of({served.url("/empty")}) == "200");
}

TEST_CASE("http_server answers HEAD without a body", "[examples]") {
    const served_directory served;
    const run_result head = curl({"--head", served.url("/file"), served.url("/none")});
    CHECK(head.status == 0);
    CHECK(head.output.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(head.output, "\r\nContent-Length: 300000\r\n"));
    CHECK(contains(head.output, "HTTP/1.1 404 Not Found\r\n"));
}

TEST_CASE("http_server gives nothing else", "[examples]") {
    served_directory served;
    CHECK(status_of({served.url("/none")}) == "404");
    CHECK(status_of({served.url("/sub")}) == "404");
    CHECK(status_of({served.url("/")}) == "404");
    for (const char* const out :
         {"/../secret",
          "/%2e%2e/secret",
          "/sub/../../secret",
          "/..%2fsecret",
          "/link",
          "/%00",
          "/%zz",
          "/%2",
          "//../secret"}) {
        INFO(out);
        CHECK(status_of({served.url(out)}) == "404");
    }
    const run_result refused =
        curl({"--request", "DELETE", "--dump-header", "-", served.url("/file")});
    CHECK(refused.output.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    CHECK(contains(refused.output, "\r\nAllow: GET, HEAD\r\n"));
    CHECK(status_of({"--data", "x=y", served.url("/file")}) == "405");
    CHECK(holds(served.root / "file", served.content));
    // What is malformed, or too large, is told so, and its connection ends.
    CHECK(status_of({"--header", "a b: c", served.url("/file")}) == "400");
    CHECK(status_of({"--header", "a: " + std::string(9000, 'x'), served.url("/file")}) == "400");
    CHECK(status_of({"--request", "G@T", served.url("/file")}) == "400");
    // What is logged cannot move the cursor.
    CHECK(status_of({served.url("/%1b[2J")}) == "404");
    CHECK(served.server.process.wait_for_line("GET /%1b[2J 404", limit));
}

TEST_CASE("http_server keeps a connection for more requests", "[examples]") {
    served_directory served;
    const std::string copies = served.directory.path() / "copy#1";
    const auto fetch = [&](std::vector<std::string> options) {
        options.insert(
            options.end(),
            {"--output",
             copies,
             "--write-out",
             "%{num_connects}\n",
             served.url("/{file,empty,none}")}
        );
        return curl(std::move(options)).output;
    };
    CHECK(fetch({}) == "1\n0\n0\n");
    CHECK(fetch({"--header", "Connection: close"}) == "1\n1\n1\n");
    CHECK(fetch({"--http1.0"}) == "1\n1\n1\n");
    served.server.process.send_signal(SIGINT);
    CHECK(served.server.process.wait(limit) == 0);
    CHECK(served.server.process.output().ends_with("ended\n"));
}

TEST_CASE("the same directory over HTTP and over TFTP", "[examples]") {
    const served_directory served;
    running_server other({"embed_server", "127.0.0.1:0", served.root.string()});
    const std::string by_tftp = served.directory.path() / "by-tftp";
    const std::string by_http = served.directory.path() / "by-http";
    CHECK(run_example({"blocking_get", other.address, "file", by_tftp}).status == 0);
    CHECK(curl({"--output", by_http, served.url("/file")}).status == 0);
    CHECK(holds(by_tftp, served.content));
    CHECK(holds(by_http, served.content));
}
