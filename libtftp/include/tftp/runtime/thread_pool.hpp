#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tftp {

class completion_queue;

namespace detail {
class job_list;
}

/// How long a job takes where nothing stalls.
enum class job_length : std::uint8_t {
    brief,
    /// As an fsync does: such jobs leave half of the threads of their lane, and of all, to others.
    lasting,
};

/// Something that may block - a cold read, an fsync, a slow open - and what follows it.
class blocking_job {
public:
    /// lane: what may stall, by a number of its own: a disk, a directory. Jobs of one lane occupy a
    /// part of the threads only, see `thread_pool`. 0: independent of all others.
    explicit blocking_job(std::uint64_t lane = 0, job_length length = job_length::brief) noexcept
        : lane_(lane), length_(length) {}

    blocking_job(const blocking_job&) = delete;
    blocking_job& operator=(const blocking_job&) = delete;
    virtual ~blocking_job() = default;

    /// Does the blocking part; called once, in a thread of the pool.
    virtual void run() noexcept = 0;
    /// Takes the outcome; called once after `run`, in the thread that drains the completion queue.
    /// Not called when pool or queue are destroyed before.
    virtual void done() noexcept = 0;

private:
    friend class job_runner;
    friend class completion_queue;
    friend class detail::job_list;

    std::uint64_t lane_;
    job_length length_;
    completion_queue* completions_ = nullptr;
    std::unique_ptr<blocking_job> next_;
};

namespace detail {

/// Jobs in order of arrival; linked through the jobs, so that adding one cannot fail.
class job_list {
public:
    job_list() = default;
    job_list(job_list&& other) noexcept;
    job_list& operator=(job_list&&) = delete;
    ~job_list();

    void push_back(std::unique_ptr<blocking_job> job) noexcept;
    /// Removes the first job for which `wanted` holds; null when there is none.
    template <class Predicate>
    [[nodiscard]] std::unique_ptr<blocking_job> take_first(Predicate wanted) noexcept;
    /// Returns for how many jobs `wanted` holds.
    template <class Predicate>
    [[nodiscard]] std::size_t count(Predicate wanted) const noexcept;

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::unique_ptr<blocking_job> first_;
    blocking_job* last_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace detail

/// Brings finished jobs back to the thread that submitted them.
///
/// One belongs to each worker. Lifetime: it outlives every job submitted with it, so a pool is
/// destroyed before the queues of its jobs (checked). Jobs finished but not drained are destroyed
/// with it.
class completion_queue {
public:
    /// Errors: as eventfd(2) says.
    [[nodiscard]] static result<std::unique_ptr<completion_queue>> create() noexcept;

    completion_queue(const completion_queue&) = delete;
    completion_queue& operator=(const completion_queue&) = delete;
    ~completion_queue();

    /// Returns the descriptor that is readable while there is something to drain.
    [[nodiscard]] int native_handle() const noexcept { return event_.get(); }

    /// Runs `done()` of each job that has finished and destroys it; returns how many. Never waits.
    /// `done()` may submit further jobs. Called in the owner's thread only.
    std::size_t drain() noexcept;

private:
    friend class job_runner;

    explicit completion_queue(unique_fd event) noexcept : event_(std::move(event)) {}

    /// Called in a thread of the pool.
    void finished(std::unique_ptr<blocking_job> job) noexcept;

    unique_fd event_;
    std::mutex mutex_;
    detail::job_list finished_;
    /// Jobs submitted and neither finished nor dropped.
    std::atomic<std::size_t> in_pool_ = 0;
};

/// Whether a job may be turned away.
enum class queueing : std::uint8_t {
    /// Not taken when too many wait already.
    bounded,
    /// Taken however many wait: what was begun has to be brought to its end. As many of them as
    /// transfers at most.
    always,
};

/// Where jobs run: the threads of a `thread_pool`, or virtual time in simulations.
class job_runner {
public:
    job_runner() = default;
    job_runner(const job_runner&) = delete;
    job_runner& operator=(const job_runner&) = delete;
    virtual ~job_runner() = default;

    /// Queues `job`; its completion comes through `completions`.
    ///
    /// Returns false, and destroys the job, when it cannot be taken now.
    [[nodiscard]] virtual bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
    ) noexcept = 0;

protected:
    /// Takes `job` in: `finish` or `discard` follows before `completions` is destroyed.
    static void accept(blocking_job& job, completion_queue& completions) noexcept;
    /// Brings a job that has run back to its completion queue. May be called in any thread.
    static void finish(std::unique_ptr<blocking_job> job) noexcept;
    /// Destroys a job that will not run.
    static void discard(std::unique_ptr<blocking_job> job) noexcept;

    [[nodiscard]] static std::uint64_t lane_of(const blocking_job& job) noexcept {
        return job.lane_;
    }

    [[nodiscard]] static job_length length_of(const blocking_job& job) noexcept {
        return job.length_;
    }
};

/// A few threads for what may block, so that workers never do.
///
/// A job that has run for `stuck_after` is stuck: its thread is not counted any more, and another
/// takes its place, so that several disks that never answer leave all threads to the others.
/// Thread-safe. Threads start with the first jobs; none exists before, unless start() was
/// called.
class thread_pool final : public job_runner {
public:
    /// Threads there are at most, those of stuck jobs included, as a multiple of `threads_max`.
    static constexpr std::size_t stuck_factor = 8;

    /// threads_max: for jobs that are not stuck, >= 1. queue_max: brief jobs that may wait, >= 1;
    /// an eighth of them of one lane, at least one. lane_max: threads that the jobs of one lane may
    /// occupy, stuck or not, >= 1. So a stalled disk leaves room to everybody else; with 1 they run
    /// in the order of submission. Otherwise lasting jobs of a lane occupy half of its threads, and
    /// half of all, but begin before brief ones: so neither kind waits for the end of a queue of
    /// the other.
    explicit thread_pool(
        std::size_t threads_max = 16,
        std::size_t queue_max = 4096,
        std::size_t lane_max = 4,
        std::chrono::milliseconds stuck_after = std::chrono::seconds(1)
    ) noexcept
        : threads_max_(threads_max),
          queue_max_(queue_max),
          lane_max_(lane_max),
          stuck_after_(stuck_after) {}

    /// Waits for the jobs that run; those that wait are destroyed without having run. No other
    /// thread may submit any more.
    ~thread_pool() override;

    /// Starts the first thread, so that there is one whatever the system refuses later. Returns
    /// false when it gives none.
    [[nodiscard]] bool start() noexcept;

    /// Returns false, and destroys the job, when too many wait already, or when there is no thread
    /// and none can be started.
    [[nodiscard]] bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
    ) noexcept override;

    /// Waits until no job waits or runs, at most for `patience`; returns false when some still do:
    /// a disk does not answer. No other thread may submit any more.
    [[nodiscard]] bool wait_idle(std::chrono::milliseconds patience) noexcept;

    /// Returns how many threads exist; when all are busy, one more than may run jobs.
    [[nodiscard]] std::size_t threads() const noexcept;

private:
    /// What a thread does.
    struct running {
        std::uint64_t lane = 0;
        job_length length = job_length::brief;
        std::chrono::steady_clock::time_point since;

        friend bool operator==(const running&, const running&) = default;
    };

    [[nodiscard]] bool has_room(std::uint64_t lane) const noexcept;
    void work() noexcept;
    [[nodiscard]] bool may_run(const blocking_job& job, std::size_t hanging) const noexcept;
    [[nodiscard]] std::unique_ptr<blocking_job> take_runnable() noexcept;
    void run(std::unique_lock<std::mutex>& lock, std::unique_ptr<blocking_job> job) noexcept;
    [[nodiscard]] std::size_t stuck() const noexcept;
    [[nodiscard]] bool full() const noexcept;
    [[nodiscard]] bool wants_thread() const noexcept;
    [[nodiscard]] bool start_thread() noexcept;
    void wait_for_work(std::unique_lock<std::mutex>& lock) noexcept;
    [[nodiscard]] bool retire() noexcept;

    const std::size_t threads_max_;
    const std::size_t queue_max_;
    const std::size_t lane_max_;
    const std::chrono::milliseconds stuck_after_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable quiet_;
    detail::job_list waiting_;
    std::vector<std::thread> threads_;
    /// Those that ended because there were too many.
    std::vector<std::thread> ended_;
    /// The jobs that run now, in the order in which they began; lane 0 for those without one.
    std::vector<running> busy_;
    std::size_t idle_ = 0;
    bool stopping_ = false;
};

} // namespace tftp
