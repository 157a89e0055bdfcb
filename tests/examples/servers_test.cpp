// One server for each way to wait, with both services.
#include "examples/example.hpp"
#include "support/files.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

using namespace tftp::test;

namespace {

/// A server and the switches that make it another.
using variant = std::vector<std::string>;

variant any_server() {
    return GENERATE(
        variant{"single_process"},
        variant{"multi_process"},
        variant{"multi_thread"},
        variant{"non_blocking", "--nap", "100"},
        variant{"select"},
        variant{"poll"},
        variant{"epoll"},
        variant{"epoll", "--edge"},
        variant{"signal_driven"},
        variant{"io_uring"},
        variant{"asio_callbacks"},
        variant{"asio_coroutines"},
        variant{"generator_server"},
        variant{"greenlet_server"},
        variant{"gevent_server"}
    );
}

std::vector<std::string> with(variant server, const std::vector<std::string>& more) {
    server.insert(server.end(), more.begin(), more.end());
    return server;
}

/// Returns false, and says so, for a server that this system does not let run.
bool may_run(const variant& server) {
    if (server.front() != "io_uring") {
        return true;
    }
    child_process probe(example(server));
    const bool serves = probe.wait_for_line("serving on ", example_limit).has_value();
    if (!serves) {
        CHECK(probe.errors().starts_with("io_uring: io_uring: "));
        skip_part(probe.errors().substr(0, probe.errors().find('\n')));
    }
    return serves;
}

/// Ends a server as Ctrl-C does, or a service manager, while it has a client.
void check_ends(running_server& server, int signal) {
    server.process.send_signal(signal);
    CHECK(server.process.wait(example_limit) == 0);
    CHECK(server.process.output().ends_with("ended\n"));
    CHECK(server.process.errors().empty());
}

} // namespace

TEST_CASE("every server returns what many clients send", "[examples][servers]") {
    const variant chosen = any_server();
    INFO(chosen.front());
    if (!may_run(chosen)) {
        return;
    }
    running_server server(with(chosen, {"--service", "echo", "--listen", "127.0.0.1:0"}));
    const std::string clients = chosen.front() == "multi_process" ? "10" : "50";
    const auto load =
        run_example({"many_clients", server.address, "--connections", clients, "--messages", "4"});
    INFO(load.output << load.errors);
    CHECK(load.status == 0);
    CHECK(load.output.starts_with(std::to_string(4 * std::stoi(clients)) + " answers in "));
    check_ends(server, SIGINT);
}

TEST_CASE("every server serves files by TFTP", "[examples][servers]") {
    const variant chosen = any_server();
    INFO(chosen.front());
    if (!may_run(chosen)) {
        return;
    }
    const temp_dir directory;
    const std::string content = make_content(200'000, 7);
    write_file(directory.path() / "file", content);
    running_server server(with(chosen, {"--service", "tftp", "--root", directory.path().string()}));
    const auto load = run_example(
        {"many_clients",
         server.address,
         "--service",
         "tftp",
         "--file",
         "file",
         "--connections",
         "8",
         "--messages",
         "2"}
    );
    INFO(load.output << load.errors);
    CHECK(load.status == 0);
    CHECK(load.output.starts_with("16 answers in "));
    const std::string copy = directory.path() / "copy";
    CHECK(run_example({"blocking_get", server.address, "file", copy}).status == 0);
    CHECK(holds(copy, content));
    const std::string none = directory.path() / "none";
    const auto missing = run_example({"blocking_get", server.address, "nothing", none});
    CHECK(missing.status == 1);
    check_ends(server, SIGTERM);
}

TEST_CASE("every server ends while a client is silent", "[examples][servers]") {
    const variant chosen = any_server();
    INFO(chosen.front());
    if (!may_run(chosen)) {
        return;
    }
    running_server server(with(chosen, {}));
    child_process silent(example(
        {"many_clients",
         server.address,
         "--connections",
         "1",
         "--messages",
         "2",
         "--pause",
         "60000"}
    ));
    // It is connected when another one has been served behind it, if others are served at all.
    if (chosen.front() != "single_process") {
        const auto other =
            run_example({"many_clients", server.address, "--connections", "1", "--messages", "1"});
        CHECK(other.status == 0);
    }
    check_ends(server, SIGINT);
}

TEST_CASE("select turns away what does not fit its maps", "[examples][servers]") {
    running_server server({"select"});
    const auto load =
        run_example({"many_clients", server.address, "--connections", "1100", "--messages", "1"});
    INFO(load.output << load.errors);
    CHECK(load.status == 1);
    CHECK(server.process.wait_for_line(
        "descriptor 1024 does not fit: FD_SETSIZE is 1024", example_limit
    ));
    // Those that fitted were served, and others are when they have left.
    const auto again =
        run_example({"many_clients", server.address, "--connections", "100", "--messages", "1"});
    CHECK(again.status == 0);
    check_ends(server, SIGINT);
}

TEST_CASE("a line on the standard input ends select", "[examples][servers]") {
    command shell;
    shell.argv = {"sh", "-c", "echo quit | " + example({"select"}).argv.front()};
    const auto ended = run(shell, example_limit);
    CHECK(ended.status == 0);
    CHECK(ended.output.ends_with("ended\n"));
}

TEST_CASE("epoll needs fewer waits than there are answers", "[examples][servers]") {
    running_server server({"epoll"});
    const auto load =
        run_example({"many_clients", server.address, "--connections", "500", "--messages", "10"});
    CHECK(load.status == 0);
    server.process.send_signal(SIGINT);
    const auto line = server.process.wait_for_line(" waits for ", example_limit);
    REQUIRE(line);
    const long waits = std::stol(*line);
    const long ready = std::stol(line->substr(line->find(" for ") + 5));
    CHECK(ready >= 5000);
    CHECK(waits < ready);
}

TEST_CASE("polling by hand asks much more than it is answered", "[examples][servers]") {
    running_server server({"non_blocking"});
    CHECK(
        run_example({"many_clients", server.address, "--connections", "10", "--pause", "20"})
            .status == 0
    );
    server.process.send_signal(SIGINT);
    const auto line = server.process.wait_for_line(" questions for ", example_limit);
    REQUIRE(line);
    CHECK(std::stol(*line) > 100);
}

TEST_CASE("tasks take turns", "[examples][coroutines]") {
    const auto turns = run_example({"generator", "--count", "2"});
    CHECK(turns.status == 0);
    CHECK(turns.output == "ping 1\npong 1\nping 2\npong 2\nping ends\npong ends\nsum 6\n");
    const auto stacks = run_example({"greenlet", "--depth", "1"});
    CHECK(stacks.status == 0);
    CHECK(
        stacks.output == "left down 1\nright down 1\nleft down 0\nright down 0\nleft up 0\n"
                         "right up 0\nleft up 1\nright up 1\n10 switches\n"
    );
    const auto sleepers = run_example({"gevent", "--tasks", "50", "--longest", "100"});
    CHECK(sleepers.status == 0);
    CHECK(sleepers.output.find("task 50 ends\n") != std::string::npos);
    CHECK(sleepers.output.find("slept 2550 ms in all, within 1") != std::string::npos);
}

TEST_CASE("the servers explain themselves", "[examples][servers]") {
    for (const char* name :
         {"single_process",
          "multi_process",
          "multi_thread",
          "non_blocking",
          "select",
          "poll",
          "epoll",
          "signal_driven",
          "io_uring",
          "asio_callbacks",
          "asio_coroutines",
          "many_clients",
          "generator",
          "generator_server",
          "greenlet",
          "greenlet_server",
          "gevent",
          "gevent_server"}) {
        check_explains_itself(name);
    }
    for (const variant& wrong : {
             variant{"poll", "--service", "ftp"},
             variant{"poll", "--listen", "nowhere"},
             variant{"epoll", "one", "word"},
             variant{"many_clients"},
             variant{"many_clients", "127.0.0.1:7", "--connections", "0"},
             variant{"generator", "--count", "x"},
         }) {
        check_refuses(wrong);
    }
    const auto no_directory = run_example({"epoll", "--service", "tftp", "--root", "/nowhere"});
    CHECK(no_directory.status == 1);
    CHECK(no_directory.errors.starts_with("epoll: "));
}
