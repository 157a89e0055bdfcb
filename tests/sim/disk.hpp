#pragma once

#include <tftp/content/provider.hpp>
#include <tftp/runtime/thread_pool.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <sim/kernel.hpp>
#include <string>
#include <unordered_map>

namespace tftp::sim {

/// How the disk of the server behaves. Probabilities are parts per million of calls.
struct disk_config {
    /// There is a pool for what may block; else it is done where it stands.
    bool pool = true;
    /// Octets that are not at hand: they come through the pool.
    std::uint32_t cold_ppm = 0;
    /// A job takes 0..lag; the pool refuses it.
    duration lag{};
    std::uint32_t refuse_job_ppm = 0;
    std::uint32_t open_error_ppm = 0;
    std::uint32_t read_error_ppm = 0;
    std::uint32_t shrink_ppm = 0;
    std::uint32_t write_error_ppm = 0;
    std::uint32_t commit_error_ppm = 0;
    /// Sizes are known at the end of a file only.
    bool unsized = false;
    /// Writes and the end of a file may wait as well, as on another machine.
    bool remote = false;
};

/// A file of the simulation: its name says what is in it.
struct file_name {
    /// Where in `content` it begins: each client has files of its own.
    std::uint64_t shift = 0;
    std::uint64_t size = 0;
    /// What comes is neither compared nor counted: a rogue sends it.
    bool any = false;

    [[nodiscard]] std::string text() const;
    /// Empty for a name that no file has.
    [[nodiscard]] static std::optional<file_name> parse(std::string_view text);
};

/// Compares what comes with what the file holds.
class checked_sink final : public sink {
public:
    /// from_port_before: the port has asked before, so any DATA may still be one of that transfer,
    /// which nothing tells from its own: the same octets, of another length at the end.
    checked_sink(const file_name& name, bool from_port_before, verdict& judge)
        : name_(name), any_length_(from_port_before), judge_(&judge) {}

    [[nodiscard]] error_code reserve(std::uint64_t) noexcept override { return {}; }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

    [[nodiscard]] bool committed() const noexcept { return committed_; }

    [[nodiscard]] std::uint64_t stored() const noexcept { return stored_; }

private:
    file_name name_;
    bool any_length_;
    verdict* judge_;
    std::uint64_t stored_ = 0;
    bool committed_ = false;
};

/// Reads a file of the simulation.
class checked_source : public source {
public:
    explicit checked_source(const file_name& name) : name_(name) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override { return name_.size; }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return read(offset, gaps);
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

private:
    file_name name_;
};

/// The files of the server.
class disk final : public content_provider {
public:
    disk(const disk_config& config, const kernel::parts& world, std::uint64_t seed)
        : config_(config), world_(world), random_(seed) {}

    [[nodiscard]] result<std::shared_ptr<source>> try_open_read(const content_request& wanted
    ) noexcept override;
    [[nodiscard]] result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept override;
    [[nodiscard]] result<std::shared_ptr<sink>> open_write(const content_request& wanted
    ) noexcept override;

    /// Returns how often an upload of this name was committed.
    [[nodiscard]] unsigned commits(const std::string& name) const;

    /// The server says that an upload of this name ended well.
    void reported(const std::string& name) { ++uploads_[name].reported; }

    /// Every upload that became visible was reported as a success, and no other.
    void check() const;

private:
    class slow_source;
    class upload_sink;

    struct upload {
        unsigned committed = 0;
        unsigned reported = 0;
    };

    [[nodiscard]] bool fails(std::uint32_t ppm, happening what) noexcept;

    disk_config config_;
    kernel::parts world_;
    prng random_;
    std::map<std::string, upload> uploads_;
};

/// A pool without threads: jobs take virtual time.
class virtual_pool final : public job_runner, public station {
public:
    virtual_pool(const disk_config& config, const kernel::parts& world, std::uint64_t seed)
        : station(network::server_host), config_(config), world_(world), random_(seed) {}

    ~virtual_pool() override { clear(); }

    virtual_pool(const virtual_pool&) = delete;
    virtual_pool& operator=(const virtual_pool&) = delete;

    [[nodiscard]] bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
    ) noexcept override;

    void on_arrival(network&, const datagram&) override {}

    void on_wake(network& net, std::uint32_t what) override;

    /// Drops the jobs that have not run.
    void clear() noexcept;

    /// Called when a completion queue has become readable.
    std::function<void()> on_done;

private:
    disk_config config_;
    kernel::parts world_;
    prng random_;
    std::map<std::uint32_t, std::unique_ptr<blocking_job>> running_;
    std::uint32_t next_ = 0;
    /// When the last job of a key is done: they run one after the other.
    std::unordered_map<std::uint64_t, time_point> busy_until_;
};

} // namespace tftp::sim
