#include <tftp/base/assert.hpp>
#include <tftp/runtime/thread_pool.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <new>
#include <system_error>

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

namespace tftp {

namespace detail {

job_list::job_list(job_list&& other) noexcept
    : first_(std::move(other.first_)),
      last_(std::exchange(other.last_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

job_list::~job_list() {
    // One by one: the chain of owners would be destroyed recursively.
    while (first_) {
        first_ = std::move(first_->next_);
    }
}

void job_list::push_back(std::unique_ptr<blocking_job> job) noexcept {
    blocking_job* const added = job.get();
    (last_ != nullptr ? last_->next_ : first_) = std::move(job);
    last_ = added;
    ++size_;
}

template <class Predicate>
std::unique_ptr<blocking_job> job_list::take_first(Predicate wanted) noexcept {
    blocking_job* before = nullptr;
    for (std::unique_ptr<blocking_job>* link = &first_; *link; link = &(*link)->next_) {
        if (wanted(**link)) {
            std::unique_ptr<blocking_job> taken = std::move(*link);
            *link = std::move(taken->next_);
            if (last_ == taken.get()) {
                last_ = before;
            }
            --size_;
            return taken;
        }
        before = link->get();
    }
    return nullptr;
}

template <class Predicate>
std::size_t job_list::count(Predicate wanted) const noexcept {
    std::size_t found = 0;
    for (const blocking_job* job = first_.get(); job != nullptr; job = job->next_.get()) {
        found += wanted(*job) ? 1U : 0U;
    }
    return found;
}

} // namespace detail

result<std::unique_ptr<completion_queue>> completion_queue::create() noexcept {
    unique_fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) {
        return error_code(errno, boost::system::system_category());
    }
    std::unique_ptr<completion_queue> made(new (std::nothrow) completion_queue(std::move(event)));
    if (!made) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    return made;
}

completion_queue::~completion_queue() {
    // The thread that brought the last job back may still be leaving `finished`.
    const std::lock_guard lock(mutex_);
    // A job in the pool would come back to a queue that is gone.
    TFTP_ASSERT(in_pool_.load() == 0);
}

std::size_t completion_queue::drain() noexcept {
    std::uint64_t count = 0;
    // Reset before the list is taken: a job that comes in between signals again.
    while (::read(event_.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
    detail::job_list ready = [this] {
        const std::lock_guard lock(mutex_);
        return detail::job_list(std::move(finished_));
    }();
    const std::size_t total = ready.size();
    while (const std::unique_ptr<blocking_job> job =
               ready.take_first([](const blocking_job&) { return true; })) {
        job->done();
    }
    return total;
}

void completion_queue::finished(std::unique_ptr<blocking_job> job) noexcept {
    const std::lock_guard lock(mutex_);
    if (finished_.empty()) {
        // Fails only when the counter would overflow: it is readable then anyway.
        const std::uint64_t one = 1;
        while (::write(event_.get(), &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
    finished_.push_back(std::move(job));
    in_pool_.fetch_sub(1);
}

void job_runner::accept(blocking_job& job, completion_queue& completions) noexcept {
    job.completions_ = &completions;
    completions.in_pool_.fetch_add(1);
}

void job_runner::finish(std::unique_ptr<blocking_job> job) noexcept {
    completion_queue& completions = *job->completions_;
    completions.finished(std::move(job));
}

void job_runner::discard(std::unique_ptr<blocking_job> job) noexcept {
    job->completions_->in_pool_.fetch_sub(1);
    job.reset();
}

thread_pool::~thread_pool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    // None starts another any more, and none retires.
    for (auto* const each : {&threads_, &ended_}) {
        for (std::thread& thread : *each) {
            thread.join();
        }
    }
    while (std::unique_ptr<blocking_job> job =
               waiting_.take_first([](const blocking_job&) { return true; })) {
        discard(std::move(job));
    }
}

bool thread_pool::has_room(std::uint64_t lane) const noexcept {
    const std::size_t lane_queue_max = std::max<std::size_t>(queue_max_ / 8, 1);
    if (waiting_.size() < lane_queue_max) {
        return true;
    }
    // Lasting jobs are not what the others wait for.
    const auto brief = [](const blocking_job& job) { return length_of(job) == job_length::brief; };
    const auto same = [&](const blocking_job& job) { return brief(job) && lane_of(job) == lane; };
    return waiting_.count(brief) < queue_max_ &&
           (lane == 0 || waiting_.count(same) < lane_queue_max);
}

bool thread_pool::submit(
    std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (how == queueing::bounded && !has_room(lane_of(*job))) {
            return false;
        }
        if (idle_ <= waiting_.size() && wants_thread() && !start_thread() && threads_.empty()) {
            return false;
        }
        accept(*job, completions);
        waiting_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

bool thread_pool::start() noexcept {
    const std::lock_guard lock(mutex_);
    return !threads_.empty() || start_thread();
}

std::size_t thread_pool::stuck() const noexcept {
    const auto begun = std::chrono::steady_clock::now() - stuck_after_;
    return static_cast<std::size_t>(std::count_if(
        busy_.begin(), busy_.end(), [begun](const running& each) { return each.since <= begun; }
    ));
}

/// Returns true when no more jobs may run before one ends or is stuck.
bool thread_pool::full() const noexcept {
    return busy_.size() >= threads_max_ * stuck_factor || busy_.size() - stuck() >= threads_max_;
}

/// When all threads that may run jobs do so, one more sees to it that they are not all stuck.
bool thread_pool::wants_thread() const noexcept {
    const std::size_t most = threads_max_ + stuck() + (full() ? 1 : 0);
    return threads_.size() < std::min(most, threads_max_ * stuck_factor);
}

bool thread_pool::start_thread() noexcept {
    for (std::thread& thread : ended_) {
        thread.join(); // it has left the lock that this thread holds
    }
    ended_.clear();
    // Signals are for the threads of the program, not for these.
    ::sigset_t all;
    ::sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = false;
    try {
        const std::size_t most = threads_max_ * stuck_factor;
        busy_.reserve(most);
        threads_.reserve(most);
        ended_.reserve(most);
        threads_.emplace_back([this] { work(); });
        started = true;
    } catch (const std::bad_alloc&) {
        started = false;
    } catch (const std::system_error&) {
        started = false;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
}

/// hanging: how many of `busy_`, the first ones, are stuck.
bool thread_pool::may_run(const blocking_job& job, std::size_t hanging) const noexcept {
    const std::uint64_t lane = lane_of(job);
    if (lane == 0) {
        return true;
    }
    std::size_t all_lasting = 0;
    std::size_t same = 0;
    std::size_t same_lasting = 0;
    for (std::size_t i = 0; i < busy_.size(); ++i) {
        const running& other = busy_[i];
        const bool lasting = other.lane != 0 && other.length == job_length::lasting;
        all_lasting += lasting && i >= hanging ? 1U : 0U;
        same += other.lane == lane ? 1U : 0U;
        same_lasting += lasting && other.lane == lane ? 1U : 0U;
    }
    if (same >= lane_max_) {
        return false;
    }
    return length_of(job) == job_length::brief ||
           (same_lasting < std::max<std::size_t>(lane_max_ / 2, 1) &&
            all_lasting < std::max<std::size_t>(threads_max_ / 2, 1));
}

std::unique_ptr<blocking_job> thread_pool::take_runnable() noexcept {
    const std::size_t hanging = stuck();
    const auto may = [&](const blocking_job& job) { return may_run(job, hanging); };
    if (lane_max_ > 1) {
        std::unique_ptr<blocking_job> lasting = waiting_.take_first([&](const blocking_job& job) {
            return length_of(job) == job_length::lasting && may(job);
        });
        if (lasting) {
            return lasting;
        }
    }
    return waiting_.take_first(may);
}

void thread_pool::work() noexcept {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        std::unique_ptr<blocking_job> job = full() ? nullptr : take_runnable();
        if (job) {
            run(lock, std::move(job));
        } else if (retire()) {
            return;
        } else {
            wait_for_work(lock);
        }
    }
}

void thread_pool::run(
    std::unique_lock<std::mutex>& lock, std::unique_ptr<blocking_job> job
) noexcept {
    const running what{lane_of(*job), length_of(*job), std::chrono::steady_clock::now()};
    busy_.push_back(what); // within the capacity reserved at the start
    if (idle_ == 0 && (full() || !waiting_.empty()) && wants_thread()) {
        static_cast<void>(start_thread());
    }
    lock.unlock();
    job->run();
    finish(std::move(job));
    lock.lock();
    // This thread takes the next job itself: no other needs to be woken for the lane.
    busy_.erase(std::find(busy_.begin(), busy_.end(), what));
    if (what.length == job_length::lasting && idle_ != 0 && !waiting_.empty()) {
        // Two may have waited for its end: one of the lane, and a lasting one of another.
        wake_.notify_one();
    }
    if (busy_.empty() && waiting_.empty()) {
        quiet_.notify_all();
    }
}

void thread_pool::wait_for_work(std::unique_lock<std::mutex>& lock) noexcept {
    ++idle_;
    const std::size_t hanging = stuck();
    if (waiting_.empty() || hanging == busy_.size()) {
        wake_.wait(lock);
    } else {
        // When the next one is stuck, others may run.
        wake_.wait_until(lock, busy_[hanging].since + stuck_after_);
    }
    --idle_;
}

/// Returns true when the calling thread is to end: so many were only needed while jobs were stuck.
bool thread_pool::retire() noexcept {
    if (idle_ < threads_max_) {
        return false;
    }
    const auto own = std::find_if(threads_.begin(), threads_.end(), [](const std::thread& each) {
        return each.get_id() == std::this_thread::get_id();
    });
    ended_.push_back(std::move(*own)); // within the capacity reserved at the start
    threads_.erase(own);
    return true;
}

bool thread_pool::wait_idle(std::chrono::milliseconds patience) noexcept {
    std::unique_lock lock(mutex_);
    return quiet_.wait_for(lock, patience, [this] { return busy_.empty() && waiting_.empty(); });
}

std::size_t thread_pool::threads() const noexcept {
    const std::lock_guard lock(mutex_);
    return threads_.size();
}

} // namespace tftp
