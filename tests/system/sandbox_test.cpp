// What Landlock leaves within reach, and what works under the whole confinement. What is refused is
// tried without it too: only then a refusal says something.

#include "sandbox.hpp"
#include "support/files.hpp"
#include "system/probe.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

using namespace tftp::test;
using tftpd::reach;

TEST_CASE("files outside of the directories are out of reach", "[system][sandbox]") {
    if (!has_landlock()) {
        return;
    }
    const places where;
    const std::string outside = where.at("outside/file");
    const std::string fresh = where.at("outside/fresh");
    for (const mechanisms use : {only_landlock, mechanisms{}}) {
        INFO("seccomp " << use.seccomp);
        const auto out_of_reach = [&](const action& what) {
            CHECK(confined_to(where, what, use) == refused(EACCES));
            CHECK(free_to(what) == done);
            std::filesystem::remove(fresh);
        };
        out_of_reach(opening(outside, O_RDONLY));
        out_of_reach(opening(outside, O_WRONLY));
        out_of_reach(opening(outside, O_WRONLY | O_APPEND));
        out_of_reach(opening(fresh, O_WRONLY | O_CREAT));
        out_of_reach(opening(where.at("outside"), O_RDONLY | O_DIRECTORY));
        out_of_reach(opening(where.at("served/../outside/file"), O_RDONLY));
        out_of_reach(opening("/etc/passwd", O_RDONLY));
        out_of_reach(opening("/proc/self/maps", O_RDONLY));
        out_of_reach(opening("/dev/null", O_WRONLY));
        out_of_reach(opening("/", O_RDONLY | O_DIRECTORY));
        out_of_reach([&] {
            return ::openat(
                ::open(where.at("served").c_str(), O_PATH | O_DIRECTORY),
                "../outside/file",
                O_RDONLY
            );
        });
    }
    CHECK(confined_to(where, [&] {
              return ::unlinkat(AT_FDCWD, outside.c_str(), 0);
          }) == refused(EACCES));
    CHECK(holds(outside, "content"));
}

TEST_CASE("each directory is used for one purpose only", "[system][sandbox]") {
    if (!has_landlock()) {
        return;
    }
    const places where;
    const auto check = [&](const action& what, const outcome& expected) {
        // The filter would hide what Landlock says of some.
        CHECK(confined_to(where, what, only_landlock) == expected);
    };
    const auto unlinking = [&](const std::string& name) {
        return [path = where.at(name)] { return ::unlink(path.c_str()); };
    };

    SECTION("what is served is read") {
        check(opening(where.at("served/file"), O_RDONLY), done);
        check(opening(where.at("served"), O_RDONLY | O_DIRECTORY), done);
        check(opening(where.at("served/file"), O_WRONLY), refused(EACCES));
        check(opening(where.at("served/fresh"), O_WRONLY | O_CREAT), refused(EACCES));
        check(opening(where.at("served"), O_WRONLY | O_TMPFILE), refused(EACCES));
        check(unlinking("served/file"), refused(EACCES));
        check(renaming(where.at("served/file"), where.at("served/fresh")), refused(EACCES));
        check(linking(where.at("served/file"), where.at("served/fresh")), refused(EACCES));
        CHECK(holds(where.at("served/file"), "content"));
    }
    SECTION("uploads are made, replaced and removed") {
        check([&] { return upload_to(where.at("uploads"), "fresh"); }, done);
        CHECK(holds(where.at("uploads/fresh"), "new"));
        check([&] { return upload_to(where.at("uploads/below"), "fresh"); }, done);
        check([&] { return upload_to(where.at("uploads"), "file"); }, done);
        CHECK(holds(where.at("uploads/file"), "new"));
        check(opening(where.at("uploads/named"), O_WRONLY | O_CREAT | O_EXCL), done);
        check(unlinking("uploads/named"), done);
        check(opening(where.at("uploads"), O_RDONLY | O_DIRECTORY), done);
    }
    SECTION("nothing else comes into the directory of uploads") {
        const std::string fresh = where.at("uploads/fresh");
        check([=] { return ::mkdir(fresh.c_str(), 0755); }, refused(EACCES));
        check([&] { return ::rmdir(where.at("uploads/below").c_str()); }, refused(EACCES));
        check([=] { return ::symlink("file", fresh.c_str()); }, refused(EACCES));
        check([=] { return ::mkfifo(fresh.c_str(), 0644); }, refused(EACCES));
        check(
            [=] {
                ::sockaddr_un address{};
                address.sun_family = AF_UNIX;
                ::strncpy(address.sun_path, fresh.c_str(), sizeof address.sun_path - 1);
                return ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), sizeof address);
            },
            refused(EACCES)
        );
        std::filesystem::copy_file("/bin/true", fresh);
        check([=] { return ::execl(fresh.c_str(), "true", nullptr); }, refused(EACCES));
        CHECK(free_to([=] { return ::execl(fresh.c_str(), "true", nullptr); }) == done);
    }
    SECTION("nothing is carried in, out, or from one directory to another") {
        for (const auto& [from, to] : std::initializer_list<std::array<const char*, 2>>{
                 {"uploads/file", "outside/fresh"},
                 {"outside/file", "uploads/fresh"},
                 {"served/file", "uploads/fresh"},
                 {"uploads/file", "served/fresh"},
                 {"uploads/file", "uploads/below/fresh"}}) {
            INFO(from << " to " << to);
            for (const action& each :
                 {linking(where.at(from), where.at(to)), renaming(where.at(from), where.at(to))}) {
                // The latter where the right to make or remove is missing too.
                const outcome carried = confined_to(where, each);
                CHECK((carried == refused(EXDEV) || carried == refused(EACCES)));
            }
            CHECK(!std::filesystem::exists(where.at(to)));
        }
    }
    SECTION("logs are appended to and made") {
        check(opening(where.at("logs/file"), O_WRONLY | O_APPEND), done);
        check(opening(where.at("logs/fresh"), O_WRONLY | O_APPEND | O_CREAT), done);
        check(opening(where.at("logs/file"), O_RDONLY), refused(EACCES));
        check(opening(where.at("logs"), O_RDONLY | O_DIRECTORY), refused(EACCES));
        check(unlinking("logs/file"), refused(EACCES));
        check(renaming(where.at("logs/file"), where.at("logs/other")), refused(EACCES));
        if (has_landlock(3)) {
            check(opening(where.at("logs/file"), O_WRONLY | O_TRUNC), refused(EACCES));
        }
        CHECK(holds(where.at("logs/file"), "content"));
    }
    SECTION("files without a name are written and read again where uploads are collected") {
        check(opening(where.at("spool"), O_RDWR | O_TMPFILE), done);
        check(opening(where.at("spool"), O_RDONLY | O_DIRECTORY), refused(EACCES));
        check(opening(where.at("spool/named"), O_RDWR | O_CREAT | O_EXCL), refused(EACCES));
        check(unlinking("spool/file"), refused(EACCES));
        check(renaming(where.at("spool/file"), where.at("spool/other")), refused(EACCES));
        CHECK(holds(where.at("spool/file"), "content"));
    }
    SECTION("and with a name where there are no others") {
        const mechanisms named{true, false, true};
        const auto allowed = [&](const action& what, const outcome& expected) {
            CHECK(confined_to(where, what, named) == expected);
        };
        allowed(opening(where.at("spool/named"), O_RDWR | O_CREAT | O_EXCL), done);
        allowed(unlinking("spool/named"), done);
        allowed(opening(where.at("spool"), O_RDONLY | O_DIRECTORY), refused(EACCES));
        allowed([&] { return ::mkdir(where.at("spool/new").c_str(), 0755); }, refused(EACCES));
    }
}

TEST_CASE("TCP is out of reach", "[system][sandbox]") {
    if (!has_landlock(4)) {
        return;
    }
    const places where;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in address = loopback();
    ::socklen_t size = sizeof address;
    REQUIRE(::bind(server, generic(address), size) == 0);
    REQUIRE(::listen(server, 5) == 0);
    REQUIRE(::getsockname(server, reinterpret_cast<::sockaddr*>(&address), &size) == 0);
    const action connect = [&] {
        return ::connect(::socket(AF_INET, SOCK_STREAM, 0), generic(address), sizeof address);
    };
    const action bind = [] {
        const ::sockaddr_in any = loopback();
        return ::bind(::socket(AF_INET, SOCK_STREAM, 0), generic(any), sizeof any);
    };
    for (const action& each : {connect, bind}) {
        CHECK(free_to(each) == done);
        CHECK(confined_to(where, each, only_landlock) == refused(EACCES));
    }
    ::close(server);
}

TEST_CASE("other processes are out of reach", "[system][sandbox]") {
    if (!has_landlock(6)) {
        return;
    }
    const places where;
    const ::pid_t parent = ::getpid();
    const action kill = [=] { return ::kill(parent, 0); };
    CHECK(free_to(kill) == done);
    CHECK(confined_to(where, kill, only_landlock) == refused(EPERM));

    const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX; // and no name: the kernel picks an abstract one
    REQUIRE(::bind(server, generic(address), sizeof address.sun_family) == 0);
    REQUIRE(::listen(server, 5) == 0);
    ::socklen_t size = sizeof address;
    REQUIRE(::getsockname(server, reinterpret_cast<::sockaddr*>(&address), &size) == 0);
    const action connect = [&] {
        return ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), size);
    };
    CHECK(free_to(connect) == done);
    CHECK(confined_to(where, connect, only_landlock) == refused(EPERM));
    ::close(server);
}

TEST_CASE("what tftpd does works in its confinement", "[system][sandbox]") {
    const places where;
    const auto works = [&](const action& what) { CHECK(confined_to(where, what) == done); };
    SECTION("files") {
        works(opening(where.at("served/file"), O_RDONLY));
        works(opening(where.at("logs/fresh"), O_WRONLY | O_APPEND | O_CREAT));
        works([&] { return upload_to(where.at("uploads"), "fresh"); });
        CHECK(holds(where.at("uploads/fresh"), "new"));
        works([&] { return upload_to(where.at("uploads/below"), "fresh"); });
    }
    SECTION("datagrams") {
        for (const int family : {AF_INET, AF_INET6}) {
            works(connecting(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
            works(connecting(family, SOCK_DGRAM, 0));
        }
        works([] {
            const int port = ::socket(AF_INET, SOCK_DGRAM, 0);
            ::sockaddr_in address = loopback();
            ::socklen_t size = sizeof address;
            if (::bind(port, generic(address), size) != 0 ||
                ::getsockname(port, reinterpret_cast<::sockaddr*>(&address), &size) != 0 ||
                ::sendto(port, "x", 1, 0, generic(address), size) != 1) {
                return -1;
            }
            char octet = 0;
            return ::recv(port, &octet, 1, 0) == 1 ? 0 : -1;
        });
    }
    SECTION("threads, which are confined as well") {
        works([] {
            // More than fits into the stacks and arenas that are there.
            std::vector<std::thread> threads;
            for (int i = 0; i < 20; ++i) {
                threads.emplace_back([] { std::vector<char>(std::size_t{1} << 22U, 'x'); });
            }
            for (std::thread& each : threads) {
                each.join();
            }
            return 0;
        });
        const auto in_a_thread = [](const action& what) {
            return [=] {
                long result = 0;
                int error = 0;
                std::thread([&] {
                    result = what();
                    error = errno;
                }).join();
                errno = error;
                return result;
            };
        };
        CHECK(confined_to(where, in_a_thread(connecting(AF_UNIX, SOCK_STREAM))) == refused(EPERM));
        if (has_landlock()) {
            const action open = opening(where.at("outside/file"), O_RDONLY);
            CHECK(confined_to(where, in_a_thread(open)) == refused(EACCES));
        }
    }
    SECTION("the end by a failed assertion") {
        const outcome aborted{0, SIGABRT};
        CHECK(confined_to(where, []() -> long { std::abort(); }) == aborted);
    }
}

TEST_CASE("each mechanism can be left out", "[system][sandbox]") {
    const places where;
    CHECK(confined_to(where, opening("/etc/passwd", O_RDONLY), only_seccomp) == done);
    CHECK(confined_to(where, connecting(AF_UNIX, SOCK_STREAM), only_landlock) == done);
    CHECK(confined_to(where, opening("/etc/passwd", O_RDONLY), {false, false}) == done);
}

TEST_CASE("a confinement that fails says so", "[system][sandbox]") {
    if (!has_landlock()) {
        return;
    }
    // Neither root nor no_new_privs gives the right to confine oneself.
    const auto unprivileged = [] {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) {
            throw std::runtime_error("setresuid");
        }
    };
    const auto told = [](const tftpd::confinement& wanted, const std::string& expected) {
        return [=]() -> long {
            try {
                static_cast<void>(tftpd::confine(wanted));
            } catch (const tftpd::sandbox_error& why) {
                return why.what() == expected ? 0 : -1;
            }
            return -1;
        };
    };
    tftpd::confinement wanted;
    CHECK(
        tried(
            unprivileged,
            told(wanted, "landlock: restrict: Operation not permitted (see --no-landlock)")
        ) == done
    );
    wanted.directories.push_back({-1, reach::read});
    CHECK(
        tried(
            unprivileged, told(wanted, "landlock: rule: Bad file descriptor (see --no-landlock)")
        ) == done
    );
}
