#include "support/directory_race.hpp"
#include "support/files.hpp"
#include "system/daemon.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace tftp::test;

namespace {

constexpr auto attack = std::chrono::seconds(4);
constexpr std::size_t file_octets_max = 1 << 20;

/// One transfer with the library's own client, from any thread.
class test_client {
public:
    explicit test_client(const tftp::endpoint& server, bool windows = false) {
        asked_.server = server;
        if (windows) {
            asked_.options = tftp::default_offer(1428);
        }
    }

    /// Returns what came; empty when the transfer failed, for the reason in `error`.
    std::string get(const std::string& name) {
        asked_.filename = name;
        tftp::memory_sink into(file_octets_max);
        static_cast<void>(tftp::get(asked_, into, error));
        const tftp::bytes_view got = into.content();
        return error ? std::string()
                     : std::string(reinterpret_cast<const char*>(got.data()), got.size());
    }

    /// Returns whether the last block was acknowledged.
    bool put(const std::string& name, const std::string& content) {
        asked_.filename = name;
        tftp::memory_source from(std::as_bytes(std::span(content)));
        static_cast<void>(tftp::put(asked_, from, error));
        return !error;
    }

    tftp::error_code error;

private:
    tftp::client_request asked_{.options = tftp::no_options};
};

} // namespace

TEST_CASE("tftpd stays inside while directories and links change", "[system][tftpd][race]") {
    const temp_dir outside;
    daemon_process daemon({"--writable=create", "--overwrite=replace", "--fsync=no"});
    directory_race race(daemon.root(), outside.path());
    int served = 0;
    int stored = 0;
    int round = 0;
    const auto end = std::chrono::steady_clock::now() + attack;
    while (std::chrono::steady_clock::now() < end) {
        test_client client(daemon.server(), round % 2 == 0);
        for (const char* name : directory_race::files) {
            const std::string got = client.get(name);
            REQUIRE((client.error || got == "inside" || got == "upload"));
            served += client.error ? 0 : 1;
        }
        for (const char* directory : directory_race::directories) {
            const std::string name = "/new" + std::to_string(round % 8);
            stored += client.put(directory + name, "upload") ? 1 : 0;
            stored += client.put(directory + std::string("/file"), "upload") ? 1 : 0;
        }
        ++round;
    }
    race.stop();
    CHECK(race.written_outside() == std::vector<std::string>());
    CHECK(served > 0);
    CHECK(stored > 0);
    CHECK(daemon.serves());
}

TEST_CASE("an acknowledged upload is there to be read", "[system][tftpd][uploads]") {
    for (const char* overwrite : {"replace", "keep=1"}) {
        for (const char* fsync : {"yes", "no"}) {
            INFO(overwrite << ", fsync " << fsync);
            daemon_process daemon({"--writable=create", "--overwrite", overwrite, "--fsync", fsync}
            );
            // A flush takes its time.
            const int count = *fsync == 'y' ? 20 : 100;
            for (int i = 0; i < count; ++i) {
                test_client client(daemon.server(), i % 2 == 0);
                const std::string content =
                    make_content(static_cast<std::size_t>(i) * 97, static_cast<unsigned>(i));
                const std::string name = "file" + std::to_string(i / 4);
                REQUIRE(client.put(name, content));
                REQUIRE(holds(daemon.root() / name, content));
                REQUIRE(client.get(name) == content);
            }
        }
    }
}

TEST_CASE(
    "of several writers to one name each wins whole or not at all", "[system][tftpd][uploads]"
) {
    constexpr int writers_count = 4;
    constexpr int rounds = 25;
    const auto content_of = [](int writer) {
        return make_content(
            20'000U + 3'000U * static_cast<unsigned>(writer), 1U + static_cast<unsigned>(writer)
        );
    };
    const auto is_whole = [&](const std::string& content) {
        for (int writer = 0; writer < writers_count; ++writer) {
            if (content == content_of(writer)) {
                return true;
            }
        }
        return false;
    };
    for (const char* overwrite : {"replace", "keep=3"}) {
        INFO(overwrite);
        daemon_process daemon(
            {"--writable=create", "--overwrite", overwrite, "--fsync=no", "--threads=2"}
        );
        REQUIRE(test_client(daemon.server()).put("file", content_of(0)));
        std::atomic<int> failed = 0;
        std::atomic<int> torn = 0;
        std::atomic<int> writing = writers_count;
        std::vector<std::thread> threads;
        for (int writer = 0; writer < writers_count; ++writer) {
            threads.emplace_back([&, writer] {
                for (int i = 0; i < rounds; ++i) {
                    test_client client(daemon.server(), (writer + i) % 2 == 0);
                    failed += client.put("file", content_of(writer)) ? 0 : 1;
                    // Another one may have won since, but none in part.
                    torn += is_whole(read_file(daemon.root() / "file")) ? 0 : 1;
                }
                --writing;
            });
        }
        for (int reader = 0; reader < 2; ++reader) {
            threads.emplace_back([&, reader] {
                while (writing > 0) {
                    test_client client(daemon.server(), reader == 0);
                    const std::string got = client.get("file");
                    failed += client.error ? 1 : 0;
                    torn += is_whole(got) ? 0 : 1;
                }
            });
        }
        for (std::thread& each : threads) {
            each.join();
        }
        CHECK(failed == 0);
        CHECK(torn == 0);
        std::size_t files = 0;
        for (const auto& each : std::filesystem::directory_iterator(daemon.root())) {
            ++files;
            CHECK(is_whole(read_file(each.path())));
        }
        CHECK(files == (*overwrite == 'k' ? 4 : 1));
    }
}

TEST_CASE("of several writers to one new name the first alone wins", "[system][tftpd][uploads]") {
    constexpr int writers_count = 4;
    daemon_process daemon({"--writable=create", "--fsync=no", "--threads=2"});
    for (int round = 0; round < 25; ++round) {
        const std::string name = "file" + std::to_string(round);
        std::atomic<int> won = 0;
        std::atomic<int> winner = -1;
        std::atomic<int> refused = 0;
        std::vector<std::thread> threads;
        for (int writer = 0; writer < writers_count; ++writer) {
            threads.emplace_back([&, writer] {
                test_client client(daemon.server(), writer % 2 == 0);
                const std::string content(5000, static_cast<char>('a' + writer));
                if (client.put(name, content)) {
                    ++won;
                    winner = writer;
                } else {
                    refused += client.error == tftp::peer_errc::file_exists ? 1 : 0;
                }
            });
        }
        for (std::thread& each : threads) {
            each.join();
        }
        CHECK(won == 1);
        CHECK(refused == writers_count - 1);
        CHECK(holds(daemon.root() / name, std::string(5000, static_cast<char>('a' + winner))));
    }
}
