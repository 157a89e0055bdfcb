#include "support/content_io.hpp"
#include "support/fuse_disk.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_cache.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>

using namespace tftp;
using namespace tftp::test;

namespace {

using shared_file = std::shared_ptr<const opened_file>;

shared_file open_file(const std::string& path) {
    auto file = opened_file::adopt(unique_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
    return file ? std::move(file).value() : nullptr;
}

/// Returns paths of `count` files that nobody has changed for a while: nothing can make a new file
/// look like that but waiting. Programs of the system are such files.
std::vector<std::string> settled_files(std::size_t count) {
    using namespace std::chrono;
    const std::int64_t limit =
        nanoseconds(system_clock::now().time_since_epoch() - minutes(1)).count();
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/bin")) {
        if (paths.size() == count) {
            break;
        }
        if (entry.is_symlink() || !entry.is_regular_file()) {
            continue;
        }
        const shared_file file = open_file(entry.path());
        const bool linked_twice = entry.hard_link_count() > 1;
        if (file != nullptr && !linked_twice && !file->remote() && file->size() != 0 &&
            file->identity().ctime_ns < limit) {
            paths.push_back(entry.path());
        }
    }
    REQUIRE(paths.size() == count);
    return paths;
}

/// Where files that are given up go.
struct given_up {
    void operator()(shared_file file) { files.push_back(std::move(file)); }

    std::vector<shared_file> files;
};

/// Opens a file as a transfer that comes and goes does.
void use(file_cache& cache, const std::string& path) {
    const shared_file file = cache.share(open_file(path));
    cache.leave(file);
}

std::size_t age(file_cache& cache) {
    given_up gone;
    cache.age(gone);
    return gone.files.size();
}

} // namespace

TEST_CASE("file cache keeps a file until two calls of age later", "[io][file_cache]") {
    const std::string path = settled_files(1).front();
    file_cache cache;
    use(cache, path);
    REQUIRE(cache.size() == 1);
    CHECK(cache.files.size() == 1);
    CHECK(age(cache) == 0);
    CHECK(cache.size() == 1);
    given_up gone;
    cache.age(std::ref(gone));
    REQUIRE(gone.files.size() == 1);
    CHECK(cache.size() == 0);
    // The last to hold it.
    CHECK(gone.files.front().use_count() == 1);
    gone.files.clear();
    CHECK(cache.files.size() == 0);
}

TEST_CASE("file cache gives the next transfer the file that it kept", "[io][file_cache]") {
    const std::string path = settled_files(1).front();
    file_cache cache;
    shared_file file = cache.share(open_file(path));
    const std::uint64_t serial = file->serial();
    file.reset();
    CHECK(cache.share(open_file(path))->serial() == serial);
    CHECK(cache.size() == 1);
}

TEST_CASE("file cache finds a kept file by the name it was asked for last", "[io][file_cache]") {
    const std::vector<std::string> paths = settled_files(2);
    file_cache cache;
    const shared_file file = cache.share(open_file(paths[0]), "one");
    CHECK(cache.find("one") == file);
    CHECK(cache.find("two") == nullptr);
    // Shared again without a name, as by a transfer whose name led there.
    CHECK(cache.share(file) == file);
    CHECK(cache.find("one") == file);
    CHECK(cache.share(open_file(paths[0]), "another") == file);
    CHECK(cache.find("one") == nullptr);
    CHECK(cache.find("another") == file);
    CHECK(cache.share(open_file(paths[1]), "one") != file);
    CHECK(cache.find("one") != file);
}

TEST_CASE("a file that is asked for again is kept for longer", "[io][file_cache]") {
    const std::string path = settled_files(1).front();
    file_cache cache;
    use(cache, path);
    for (int i = 0; i < 5; ++i) {
        CHECK(age(cache) == 0);
        use(cache, path);
    }
    CHECK(age(cache) == 0);
    CHECK(age(cache) == 1);
}

TEST_CASE("a file is kept for as long after a long transfer", "[io][file_cache]") {
    const std::string path = settled_files(1).front();
    file_cache cache;
    shared_file file = cache.share(open_file(path));
    for (int i = 0; i < 5; ++i) {
        CHECK(age(cache) == 0);
    }
    cache.leave(file);
    file.reset();
    CHECK(age(cache) == 0);
    CHECK(age(cache) == 1);
}

TEST_CASE("file cache does not keep a file that was just written", "[io][file_cache]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "content");
    file_cache cache;
    const shared_file file = cache.share(open_file(path));
    CHECK(cache.size() == 0);
    CHECK(cache.share(open_file(path)) == file);
    CHECK(cache.size() == 0);
}

TEST_CASE("file cache does not keep a file of another machine", "[io][file_cache]") {
    need(fuse_disk::try_here);
    const temp_directory directory;
    // Its file was last changed in 1970.
    CHECK(in_child([&] {
        fuse_disk::prepare();
        const fuse_disk disk(directory.path(), "content");
        file_cache cache;
        const shared_file file = cache.share(open_file(directory / fuse_disk::file_name));
        return file->remote() && cache.size() == 0;
    }));
}

TEST_CASE("file cache keeps a bounded number of files, those in use first", "[io][file_cache]") {
    const std::vector<std::string> paths = settled_files(file_cache::kept_max + 2);
    file_cache cache;
    std::vector<shared_file> busy;
    for (std::size_t i = 0; i < file_cache::kept_max; ++i) {
        busy.push_back(cache.share(open_file(paths[i])));
    }
    CHECK(cache.size() == file_cache::kept_max);
    // No place is free, so the next is not kept.
    use(cache, paths[file_cache::kept_max]);
    CHECK(cache.size() == file_cache::kept_max);
    CHECK(cache.files.size() == file_cache::kept_max);

    // One that is idle makes room.
    const std::uint64_t serial = busy[7]->serial();
    busy[7].reset();
    use(cache, paths[file_cache::kept_max + 1]);
    CHECK(cache.size() == file_cache::kept_max);
    CHECK(cache.files.size() == file_cache::kept_max);
    CHECK(cache.share(open_file(paths[7]))->serial() != serial);
    given_up gone;
    busy.clear();
    cache.clear(std::ref(gone));
    CHECK(gone.files.size() == file_cache::kept_max);
}

TEST_CASE("file cache gives up at once what nobody uses", "[io][file_cache]") {
    const std::vector<std::string> paths = settled_files(3);
    file_cache cache;
    const shared_file busy = cache.share(open_file(paths[0]));
    use(cache, paths[1]);
    use(cache, paths[2]);
    given_up gone;
    cache.clear(std::ref(gone));
    CHECK(gone.files.size() == 2);
    CHECK(cache.size() == 1);
    cache.clear(std::ref(gone));
    CHECK(gone.files.size() == 2);
}

TEST_CASE("chunks of a file are kept as long as the file", "[io][file_cache]") {
    const temp_directory directory;
    const bool settled = GENERATE(true, false);
    const std::string path =
        settled ? settled_files(1).front() : directory.write("f", pattern(100'000));
    file_cache cache;
    {
        file_source source(open_file(path));
        static_cast<void>(source.share(cache));
        // Blocks until it is in memory, so that the cache finds it.
        static_cast<void>(read(source, 0, 512));
        REQUIRE(try_read(source, 0, 512).octets.size() == 512);
        CHECK(cache.chunks.chunks() == 1);
        source.unshare();
    }
    CHECK(cache.chunks.chunks() == (settled ? 1 : 0));
    age(cache);
    CHECK(cache.chunks.chunks() == (settled ? 1 : 0));
    age(cache);
    CHECK(cache.chunks.chunks() == 0);
}
