#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sim/content.hpp>
#include <sim/disk.hpp>

namespace tftp::sim {

namespace {

/// All files are on one disk; its jobs run one after the other.
constexpr std::uint64_t disk_lane = 1;

[[nodiscard]] error_code system_error(int number) noexcept {
    return {number, boost::system::system_category()};
}

} // namespace

std::string file_name::text() const {
    return fmt::format("{}{}-{}", any ? 'x' : 'f', shift, size);
}

std::optional<file_name> file_name::parse(std::string_view text) {
    file_name name;
    if (text.empty() || (text[0] != 'x' && text[0] != 'f')) {
        return std::nullopt;
    }
    name.any = text[0] == 'x';
    const char* const end = text.data() + text.size();
    const auto shift = std::from_chars(text.data() + 1, end, name.shift);
    if (shift.ec != std::errc{} || shift.ptr == end || *shift.ptr != '-') {
        return std::nullopt;
    }
    const auto size = std::from_chars(shift.ptr + 1, end, name.size);
    if (size.ec != std::errc{} || size.ptr != end) {
        return std::nullopt;
    }
    return name;
}

error_code checked_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    judge_->require(!committed_, "octets are stored behind the commit");
    judge_->require(offset == stored_, "octets are stored with a gap or twice");
    for (const ::iovec& payload : payloads) {
        bytes_view rest(static_cast<const std::byte*>(payload.iov_base), payload.iov_len);
        while (!rest.empty() && !name_.any) {
            const std::size_t part = std::min(rest.size(), content::at_most);
            judge_->require(
                std::ranges::equal(rest.first(part), content::at(name_.shift + stored_, part)),
                "what is stored are other octets than those of the file"
            );
            stored_ += part;
            rest = rest.subspan(part);
        }
        stored_ += rest.size();
    }
    judge_->require(
        name_.any || any_length_ || stored_ <= name_.size, "more octets than the file has"
    );
    return {};
}

error_code checked_sink::commit() noexcept {
    judge_->require(!committed_, "a second commit");
    judge_->require(
        name_.any || any_length_ || stored_ == name_.size, "a commit before the last octet"
    );
    committed_ = true;
    return {};
}

result<read_outcome>
checked_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    read_outcome outcome;
    for (const ::iovec& gap : gaps) {
        std::size_t filled = 0;
        while (filled < gap.iov_len && offset < name_.size) {
            const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(
                {gap.iov_len - filled, content::at_most, name_.size - offset}
            ));
            const bytes_view octets = content::at(name_.shift + offset, part);
            std::memcpy(static_cast<std::byte*>(gap.iov_base) + filled, octets.data(), part);
            filled += part;
            offset += part;
        }
        outcome.bytes += filled;
    }
    outcome.end = offset >= name_.size;
    return outcome;
}

class disk::slow_source final : public source {
public:
    slow_source(disk& owner, const file_name& name) : owner_(owner), file_(name) {}

    [[nodiscard]] std::uint64_t lane() const noexcept override { return disk_lane; }

    [[nodiscard]] bool remote() const noexcept override { return owner_.config_.remote; }

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return owner_.config_.unsized ? std::nullopt : file_.size();
    }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (owner_.fails(owner_.config_.cold_ppm, happening::cold_read)) {
            return make_error_code(errc::would_block);
        }
        return read(offset, gaps);
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (owner_.fails(owner_.config_.read_error_ppm, happening::read_failed)) {
            return system_error(EIO);
        }
        if (owner_.fails(owner_.config_.shrink_ppm, happening::file_shrank)) {
            return make_error_code(errc::source_shrank);
        }
        return file_.read(offset, gaps);
    }

private:
    disk& owner_;
    checked_source file_;
};

class disk::upload_sink final : public sink {
public:
    upload_sink(disk& owner, std::string name, const file_name& parsed)
        : owner_(owner), name_(std::move(name)), checked_(parsed, false, owner.world_.judge) {}

    [[nodiscard]] std::uint64_t lane() const noexcept override { return disk_lane; }

    [[nodiscard]] bool remote() const noexcept override {
        if (owner_.config_.remote) {
            owner_.world_.seen.note(happening::remote_file);
        }
        return owner_.config_.remote;
    }

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        return checked_.reserve(size_bytes);
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        if (owner_.fails(owner_.config_.write_error_ppm, happening::write_failed)) {
            return system_error(ENOSPC);
        }
        return checked_.write(offset, payloads);
    }

    [[nodiscard]] error_code commit() noexcept override {
        if (owner_.fails(owner_.config_.commit_error_ppm, happening::commit_failed)) {
            return system_error(ENOSPC);
        }
        ++owner_.uploads_[name_].committed;
        return checked_.commit();
    }

private:
    disk& owner_;
    std::string name_;
    checked_sink checked_;
};

bool disk::fails(std::uint32_t ppm, happening what) noexcept {
    if (!random_.chance(ppm)) {
        return false;
    }
    world_.seen.note(what);
    return true;
}

result<std::shared_ptr<source>> disk::try_open_read(const content_request& wanted) noexcept {
    // Half of the files are at hand.
    if (config_.cold_ppm != 0 && random_.below(2) == 0) {
        world_.seen.note(happening::opened_in_pool);
        return make_error_code(errc::would_block);
    }
    return open_read(wanted);
}

result<std::shared_ptr<source>> disk::open_read(const content_request& wanted) noexcept {
    const auto name = file_name::parse(wanted.name);
    if (!name) {
        return make_error_code(peer_errc::not_found);
    }
    if (fails(config_.open_error_ppm, happening::open_of_file_failed)) {
        return system_error(EMFILE);
    }
    return std::make_shared<slow_source>(*this, *name);
}

result<std::shared_ptr<sink>> disk::open_write(const content_request& wanted) noexcept {
    const auto name = file_name::parse(wanted.name);
    if (!name) {
        return make_error_code(peer_errc::access_violation);
    }
    if (fails(config_.open_error_ppm, happening::open_of_file_failed)) {
        return system_error(EACCES);
    }
    return std::make_shared<upload_sink>(*this, std::string(wanted.name), *name);
}

unsigned disk::commits(const std::string& name) const {
    const auto found = uploads_.find(name);
    return found == uploads_.end() ? 0 : found->second.committed;
}

void disk::check() const {
    for (const auto& [name, seen] : uploads_) {
        require(seen.committed <= seen.reported, "a file is visible though its upload failed");
        require(seen.committed >= seen.reported, "an upload ended well, but no file is visible");
    }
}

void virtual_pool::clear() noexcept {
    for (auto& [number, job] : running_) {
        discard(std::move(job));
    }
    running_.clear();
}

bool virtual_pool::submit(
    std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
) noexcept {
    if (random_.chance(config_.refuse_job_ppm) && how == queueing::bounded) {
        world_.seen.note(happening::job_refused);
        return false;
    }
    time_point due = world_.net.now() + random_.up_to(config_.lag);
    if (const std::uint64_t lane = lane_of(*job); lane != 0) {
        time_point& free = busy_until_[lane];
        due = free = std::max(free, due);
    }
    accept(*job, completions);
    world_.net.wake(*this, due, next_);
    running_.emplace(next_++, std::move(job));
    return true;
}

void virtual_pool::on_wake(network& net, std::uint32_t what) {
    const auto found = running_.find(what);
    if (found == running_.end()) {
        return;
    }
    std::unique_ptr<blocking_job> job = std::move(found->second);
    running_.erase(found);
    const auto busy = busy_until_.find(lane_of(*job));
    if (busy != busy_until_.end() && busy->second <= net.now()) {
        // The last of its lane.
        busy_until_.erase(busy);
    }
    job->run();
    finish(std::move(job));
    on_done();
}

} // namespace tftp::sim
