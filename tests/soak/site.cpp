#include "soak/site.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tftp::soak {

namespace {

/// Returns the number of a "NAME:   123 kB" line, in bytes.
[[nodiscard]] std::uint64_t octets_of(const std::string& text, const std::string& name) {
    const std::size_t at = text.find('\n' + name + ':');
    if (at == std::string::npos) {
        throw std::runtime_error("smaps_rollup without " + name);
    }
    return std::stoull(text.substr(at + name.size() + 2)) * 1024;
}

/// Sizes from nothing to `size_max_bytes`: half of them some blocks, a few near the end.
[[nodiscard]] std::uint64_t random_size(sim::prng& random, std::uint64_t size_max_bytes) {
    const std::uint64_t kind = random.below(100);
    if (kind < 4) {
        return 0;
    }
    if (kind < 12) {
        return 512 * random.between(1, 8);
    }
    if (kind < 50) {
        return random.below(std::min<std::uint64_t>(16 * 1024, size_max_bytes));
    }
    if (kind < 82) {
        return random.below(std::min<std::uint64_t>(512 * 1024, size_max_bytes));
    }
    return random.below(std::min<std::uint64_t>(4 * 1024 * 1024, size_max_bytes));
}

} // namespace

bool may_see(::pid_t process) {
    // The kernel asks at the open.
    return std::ifstream("/proc/" + std::to_string(process) + "/smaps_rollup").is_open();
}

usage usage_of(::pid_t process) {
    if (!may_see(process)) {
        return {};
    }
    const std::string proc = "/proc/" + std::to_string(process);
    std::ifstream input(proc + "/smaps_rollup");
    const std::string text{std::istreambuf_iterator(input), std::istreambuf_iterator<char>()};
    usage held;
    held.anonymous_bytes = octets_of(text, "Anonymous");
    held.proportional_bytes = octets_of(text, "Pss");
    const std::filesystem::directory_iterator open(proc + "/fd");
    held.descriptors = static_cast<std::size_t>(std::distance(begin(open), end(open)));
    return held;
}

site::site(
    std::size_t files, std::uint64_t size_max_bytes, std::chrono::seconds grace, std::uint64_t seed
)
    : grace_(grace),
      daemon_(
          {"--writable",
           "create",
           "--fsync",
           "no",
           "--blksize-max",
           "65464",
           "--threads",
           "2",
           "--give-up",
           "10",
           "--grace",
           std::to_string(grace.count())}
      ) {
    sim::prng random(seed);
    for (std::size_t i = 0; i < files; ++i) {
        // One in 32 is large, if large ones are wanted at all.
        const bool large = i % 32 == 31 && size_max_bytes > 20 * 1024 * 1024;
        const std::uint64_t size = large ? random.between(20 * 1024 * 1024, size_max_bytes)
                                         : random_size(random, size_max_bytes);
        files_.push_back({"file-" + std::to_string(i), random.next(), size});
        create(root(), files_.back());
    }
}

const file& site::pick(sim::prng& random) const {
    const file& any = files_[random.below(files_.size())];
    // A large file is worth a hundred transfers.
    return any.size_bytes > 20 * 1024 * 1024 && random.below(8) != 0 ? files_.front() : any;
}

file site::new_upload(file content) {
    content.name = "upload-" + std::to_string(next_upload_++);
    uploads_.emplace(content.name, content);
    return content;
}

std::string site::finish(const file& upload) {
    std::string wrong = inspect(root(), upload);
    std::error_code ignored;
    std::filesystem::remove(root() / upload.name, ignored);
    uploads_.erase(upload.name);
    return wrong;
}

std::string site::peek(const file& upload) const {
    return std::filesystem::exists(root() / upload.name) ? inspect(root(), upload) : std::string();
}

std::vector<std::string> site::sweep() {
    std::vector<std::string> wrong;
    for (const auto& each : std::filesystem::directory_iterator(root())) {
        const std::string name = each.path().filename().string();
        if (std::ranges::any_of(files_, [&](const file& f) { return f.name == name; })) {
            continue;
        }
        const auto upload = uploads_.find(name);
        if (upload == uploads_.end()) {
            wrong.push_back(name + ": nobody gave that name");
        } else if (std::string problem = inspect(root(), upload->second); !problem.empty()) {
            wrong.push_back(std::move(problem));
        }
        std::filesystem::remove(each.path());
    }
    uploads_.clear();
    return wrong;
}

void site::terminate() {
    terminating_ = true;
    daemon_.process().send_signal(SIGTERM);
}

} // namespace tftp::soak
