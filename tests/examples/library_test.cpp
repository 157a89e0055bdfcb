#include "examples/example.hpp"
#include "support/files.hpp"
#include "support/process.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr auto limit = example_limit;

std::string lines(unsigned count) {
    std::string all;
    for (unsigned i = 1; i <= count; ++i) {
        const std::string number = std::to_string(i);
        all += std::string(8 - number.size(), '0') + number + '\n';
    }
    return all;
}

/// embed_server with a directory that holds `file`.
struct served_directory {
    explicit served_directory(const std::string& content) {
        write_file(directory.path() / "file", content);
        write_file(directory.path() / "other", content + content);
        server = std::make_unique<running_server>(std::vector<std::string>{
            "embed_server", "127.0.0.1:0", directory.path()});
    }

    temp_dir directory;
    std::unique_ptr<running_server> server;
};

} // namespace

TEST_CASE("every example explains itself", "[examples]") {
    const std::string name = GENERATE(
        as<std::string>(),
        "engine_loop",
        "custom_source",
        "embed_server",
        "async_get",
        "blocking_get",
        "put_url",
        "hello_server"
    );
    const auto help = run(example({name, "--help"}), limit);
    CHECK(help.status == 0);
    CHECK(help.output.starts_with("usage: " + name));
    const auto bare = run(example({name}), limit);
    CHECK(bare.status == 2);
    CHECK(bare.errors.starts_with("usage: " + name));
    const auto wrong = run(example({name, "nonsense", "x", "y"}), limit);
    CHECK(wrong.status == 2);
    CHECK_FALSE(wrong.errors.empty());
}

TEST_CASE("get_url prints a file, or what the server says", "[examples]") {
    CHECK(run(example({"get_url", "--help"}), limit).output.starts_with("usage: get_url"));
    CHECK(run(example({"get_url"}), limit).status == 2);
    const std::string content = make_content(5000, 1);
    const served_directory served(content);
    const std::string url = "tftp://" + served.server->address + "/";
    const auto ended = run(example({"get_url", url + "file"}), limit);
    CHECK(ended.status == 0);
    CHECK((ended.output == content));
    const auto missing = run(example({"get_url", url + "none"}), limit);
    CHECK(missing.status == 1);
    CHECK(missing.errors.find("the server says \"File not found\"") != std::string::npos);
    CHECK(run(example({"get_url", "nonsense"}), limit).status == 1);
}

TEST_CASE("get_c prints a file, or what the server says", "[examples]") {
    CHECK(run(example({"get_c", "--help"}), limit).output.starts_with("usage: get_c"));
    CHECK(run(example({"get_c"}), limit).status == 2);
    const std::string content = make_content(5000, 1);
    const served_directory served(content);
    const std::string url = "tftp://" + served.server->address + "/";
    const auto ended = run(example({"get_c", url + "file"}), limit);
    CHECK(ended.status == 0);
    CHECK((ended.output == content));
    const auto missing = run(example({"get_c", url + "none"}), limit);
    CHECK(missing.status == 6);
    CHECK(missing.errors.starts_with("get_c: the server says \"File not found\""));
    CHECK(run(example({"get_c", "nonsense"}), limit).status == 2);
}

TEST_CASE("put_url tells who failed", "[examples]") {
    const served_directory served("content");
    const std::string url = "tftp://" + served.server->address + "/new";
    const std::string file = served.directory.path() / "file";
    const auto refused = run(example({"put_url", file, url}), limit);
    CHECK(refused.status == 1);
    CHECK(refused.errors.find("the server says \"") != std::string::npos);
    const auto missing = run(example({"put_url", "/nonesuch/file", url}), limit);
    CHECK(missing.status == 1);
    CHECK(missing.errors.find("the content on this side: No such file") != std::string::npos);
}

TEST_CASE("hello_server greets who asks", "[examples]") {
    running_server server({"hello_server", "127.0.0.1:0"});
    const auto greeted = run(example({"get_url", "tftp://" + server.address + "/any"}), limit);
    CHECK(greeted.output.starts_with("hello 127.0.0.1:"));
    CHECK(greeted.output.ends_with("\n"));
    server.process.send_signal(SIGTERM);
    CHECK(server.process.wait(limit) == 0);
}

TEST_CASE("await_get is a client and a server in one thread", "[examples]") {
    CHECK(run(example({"await_get", "--help"}), limit).output.starts_with("usage: await_get"));
    CHECK(run(example({"await_get", "x"}), limit).status == 2);
    const auto ended = run(example({"await_get"}), limit);
    CHECK(ended.status == 0);
    CHECK(
        ended.output == "time: 5 bytes\nmoney: the server says \"File not found\" (The other side "
                        "has no such file)\n"
    );
}

TEST_CASE("engine_loop fetches a file, effect by effect", "[examples]") {
    const std::string content = make_content(5000, 1);
    const served_directory served(content);
    const auto ended =
        run(example({"engine_loop", "127.0.0.1", served.server->port, "file"}), limit);
    INFO(ended.errors);
    CHECK(ended.status == 0);
    CHECK((ended.output == content));
    CHECK(ended.errors.find("store   512 bytes at 0\n") != std::string::npos);
    CHECK(ended.errors.find("store   392 bytes at 4608, the last\n") != std::string::npos);
    CHECK(ended.errors.find("done    well\n") != std::string::npos);
    const auto missing =
        run(example({"engine_loop", "127.0.0.1", served.server->port, "nothing"}), limit);
    CHECK(missing.status == 1);
}

TEST_CASE("custom_source makes up what is asked for", "[examples]") {
    running_server server({"custom_source", "127.0.0.1:0"});
    const temp_dir directory;
    const std::string copy = directory.path() / "copy";
    const auto numbered = run(example({"blocking_get", server.address, "lines-5000", copy}), limit);
    INFO(numbered.errors);
    CHECK(numbered.status == 0);
    CHECK((read_file(copy) == lines(5000)));
    const std::string who = directory.path() / "who";
    CHECK(run(example({"blocking_get", server.address, "whoami", who}), limit).status == 0);
    CHECK(read_file(who).starts_with("127.0.0.1:"));
    const std::string none = directory.path() / "none";
    const auto missing = run(example({"blocking_get", server.address, "other", none}), limit);
    CHECK(missing.status == 1);
    CHECK_FALSE(std::filesystem::exists(none));
    server.process.send_signal(SIGTERM);
    CHECK(server.process.wait(limit) == 0);
}

TEST_CASE("embed_server serves, reports and drains", "[examples]") {
    const served_directory served("content");
    child_process& process = served.server->process;
    const std::string copy = served.directory.path() / "copy";
    REQUIRE(
        run(example({"blocking_get", served.server->address, "file", copy}), limit).status == 0
    );
    const auto line = process.wait_for_line("read  file by ", limit);
    REQUIRE(line);
    CHECK(line->ends_with(": 7 bytes, ok"));
    process.send_signal(SIGINT);
    CHECK(process.wait_for_line("draining, 0 under way", limit));
    CHECK(process.wait(limit) == 0);
    CHECK(process.output().ends_with("ended\n"));
}

TEST_CASE("async_get fetches several files", "[examples]") {
    const served_directory served(make_content(100'000, 2));
    const auto ended =
        run(example({"async_get", served.server->address, "file", "nothing", "other"}), limit);
    CHECK(ended.status == 1);
    CHECK(ended.output.find("file: 100000 bytes in ") != std::string::npos);
    CHECK(ended.output.find("other: 200000 bytes in ") != std::string::npos);
    CHECK(ended.output.find(", window 64\n") != std::string::npos);
    CHECK(ended.output.find("nothing: ") != std::string::npos);
    CHECK(run(example({"async_get", served.server->address, "file"}), limit).status == 0);
}

TEST_CASE("blocking_get leaves a copy or nothing", "[examples]") {
    const std::string content = make_content(3000, 3);
    const served_directory served(content);
    const std::string copy = served.directory.path() / "copy";
    const auto ended = run(example({"blocking_get", served.server->address, "file", copy}), limit);
    CHECK(ended.status == 0);
    CHECK(ended.output.starts_with("3000 bytes in "));
    CHECK(holds(copy, content));
}
