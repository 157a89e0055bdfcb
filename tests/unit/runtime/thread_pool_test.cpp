#include <tftp/runtime/thread_pool.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include <poll.h>

using namespace tftp;
using namespace std::chrono_literals;

namespace {

class test_job final : public blocking_job {
public:
    test_job(
        std::uint64_t lane,
        std::function<void()> run,
        std::function<void()> done = [] {},
        job_length length = job_length::brief
    )
        : blocking_job(lane, length), run_(std::move(run)), done_(std::move(done)) {}

    ~test_job() override { ++destroyed; }

    void run() noexcept override { run_(); }

    void done() noexcept override { done_(); }

    static inline std::atomic<int> destroyed = 0;

private:
    std::function<void()> run_;
    std::function<void()> done_;
};

std::unique_ptr<blocking_job> job(
    std::uint64_t lane, std::function<void()> run, std::function<void()> done = [] {}
) {
    return std::make_unique<test_job>(lane, std::move(run), std::move(done));
}

std::unique_ptr<blocking_job> lasting_job(std::uint64_t lane, std::function<void()> run) {
    return std::make_unique<test_job>(
        lane, std::move(run), [] {}, job_length::lasting
    );
}

std::unique_ptr<completion_queue> make_queue() {
    auto queue = completion_queue::create();
    REQUIRE(queue.has_value());
    return std::move(queue).value();
}

/// Waits for completions until `jobs` of them were drained.
void drain(completion_queue& queue, std::size_t jobs) {
    while (jobs > 0) {
        ::pollfd wait{queue.native_handle(), POLLIN, 0};
        REQUIRE(::poll(&wait, 1, 30'000) == 1);
        jobs -= queue.drain();
    }
}

bool is_readable(const completion_queue& queue) {
    ::pollfd wait{queue.native_handle(), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
}

} // namespace

TEST_CASE(
    "pool runs a job elsewhere and finishes it in the thread that drains", "[io][thread_pool]"
) {
    const auto queue = make_queue();
    thread_pool pool;
    CHECK(pool.threads() == 0);
    std::thread::id ran;
    std::thread::id finished;
    REQUIRE(pool.submit(
        job(
            0,
            [&] { ran = std::this_thread::get_id(); },
            [&] { finished = std::this_thread::get_id(); }
        ),
        *queue,
        queueing::bounded
    ));
    drain(*queue, 1);
    CHECK(ran != std::this_thread::get_id());
    CHECK(ran != std::thread::id());
    CHECK(finished == std::this_thread::get_id());
    CHECK_FALSE(is_readable(*queue));
    CHECK(queue->drain() == 0);
    CHECK(pool.threads() == 1);
}

TEST_CASE("pool runs jobs of a narrow lane one at a time and in order", "[io][thread_pool]") {
    const auto queue = make_queue();
    thread_pool pool(4, 1024, 1);
    std::atomic<int> running[3] = {};
    std::atomic<int> overlaps = 0;
    std::vector<int> order[3];
    std::vector<int> finished[3];
    for (int i = 0; i < 300; ++i) {
        const auto k = static_cast<std::size_t>(i % 3);
        REQUIRE(pool.submit(
            job(
                k + 1,
                [&, i, k] {
                    overlaps += running[k]++ > 0 ? 1 : 0;
                    order[k].push_back(i);
                    --running[k];
                },
                [&, i, k] { finished[k].push_back(i); }
            ),
            *queue,
            queueing::bounded
        ));
    }
    drain(*queue, 300);
    CHECK(overlaps == 0);
    CHECK(pool.threads() <= 4);
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(order[k].size() == 100);
        CHECK(std::is_sorted(order[k].begin(), order[k].end()));
        CHECK(finished[k] == order[k]);
    }
}

TEST_CASE("pool is not held up by a stalled lane", "[io][thread_pool]") {
    const auto queue = make_queue();
    thread_pool pool(3, 1024, 2);
    constexpr std::uint64_t stalled = 1;
    std::counting_semaphore release(0);
    int stalled_jobs = 0;
    for (int i = 0; i < 2; ++i) {
        REQUIRE(pool.submit(
            job(
                stalled, [&] { release.acquire(); }, [&] { ++stalled_jobs; }
            ),
            *queue,
            queueing::bounded
        ));
    }
    for (int i = 0; i < 9; ++i) {
        REQUIRE(pool.submit(
            job(
                stalled, [] {}, [&] { ++stalled_jobs; }
            ),
            *queue,
            queueing::bounded
        ));
    }
    int others = 0;
    for (int i = 0; i < 10; ++i) {
        REQUIRE(pool.submit(
            job(
                0, [] {}, [&] { ++others; }
            ),
            *queue,
            queueing::bounded
        ));
    }
    drain(*queue, 10);
    CHECK(others == 10);
    CHECK(stalled_jobs == 0);
    release.release(2);
    drain(*queue, 11);
    CHECK(stalled_jobs == 11);
}

TEST_CASE("pool refuses jobs beyond its bound", "[io][thread_pool]") {
    const auto queue = make_queue();
    thread_pool pool(1, 2);
    std::binary_semaphore started(0);
    std::binary_semaphore release(0);
    REQUIRE(pool.submit(
        job(0,
            [&] {
                started.release();
                release.acquire();
            }),
        *queue,
        queueing::bounded
    ));
    started.acquire();
    const int before = test_job::destroyed;
    CHECK(pool.submit(job(0, [] {}), *queue, queueing::bounded));
    CHECK(pool.submit(job(0, [] {}), *queue, queueing::bounded));
    CHECK_FALSE(pool.submit(job(0, [] {}), *queue, queueing::bounded));
    CHECK(test_job::destroyed == before + 1);
    release.release();
    drain(*queue, 3);
    CHECK(pool.submit(job(0, [] {}), *queue, queueing::bounded));
    drain(*queue, 1);
}

TEST_CASE("one lane leaves room in the queue to the others", "[io][thread_pool][lanes]") {
    constexpr std::uint64_t stalled = 7;
    const auto queue = make_queue();
    std::counting_semaphore<> started(0);
    std::counting_semaphore<> release(0);
    thread_pool pool(2, 16, 1);
    const auto submit = [&](std::uint64_t lane, queueing how) {
        return pool.submit(job(lane, [] {}), *queue, how);
    };
    REQUIRE(pool.submit(
        job(stalled,
            [&] {
                started.release();
                release.acquire();
            }),
        *queue,
        queueing::bounded
    ));
    started.acquire();
    // An eighth of 16 may wait.
    CHECK(submit(stalled, queueing::bounded));
    CHECK(submit(stalled, queueing::bounded));
    CHECK_FALSE(submit(stalled, queueing::bounded));
    // What was begun is brought to its end, and others are not concerned.
    for (int i = 0; i < 20; ++i) {
        CHECK(submit(stalled, queueing::always));
    }
    CHECK(submit(stalled + 1, queueing::always));
    drain(*queue, 1);
    release.release();
    drain(*queue, 23);
    CHECK(submit(stalled, queueing::bounded));
    drain(*queue, 1);
}

TEST_CASE(
    "commits that take long do not hold up the reads of their disk", "[io][thread_pool][lanes]"
) {
    constexpr std::uint64_t disk = 7;
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    std::counting_semaphore<> begun(0);
    thread_pool pool(16, 64, 4);
    constexpr int commits = 100;
    for (int i = 0; i < commits; ++i) {
        REQUIRE(pool.submit(
            lasting_job(
                disk,
                [&] {
                    begun.release();
                    release.acquire();
                }
            ),
            *queue,
            queueing::always
        ));
    }
    begun.acquire();
    begun.acquire();
    // More reads than commits leave room for in the queue, or a part of the threads takes at once.
    std::atomic<int> reads = 0;
    for (int i = 0; i < 8; ++i) {
        REQUIRE(pool.submit(job(disk, [&] { ++reads; }), *queue, queueing::bounded));
    }
    drain(*queue, 8);
    CHECK(reads == 8);
    CHECK_FALSE(begun.try_acquire());
    release.release(commits);
    drain(*queue, commits);
}

TEST_CASE("a commit does not wait for a queue of reads of its disk", "[io][thread_pool][lanes]") {
    constexpr std::uint64_t disk = 7;
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    std::counting_semaphore<> begun(0);
    std::atomic<int> reads = 0;
    std::atomic<int> before = 0;
    thread_pool pool(16, 1024, 4);
    constexpr int reads_count = 100;
    for (int i = 0; i < reads_count; ++i) {
        REQUIRE(pool.submit(
            job(disk,
                [&] {
                    begun.release();
                    release.acquire();
                    ++reads;
                }),
            *queue,
            queueing::bounded
        ));
    }
    for (int i = 0; i < 4; ++i) {
        begun.acquire();
    }
    REQUIRE(pool.submit(lasting_job(disk, [&] { before = reads.load(); }), *queue, queueing::always)
    );
    release.release();
    // The place of the one read that ends is the commit's: no other one has begun.
    drain(*queue, 2);
    CHECK(before == 1);
    release.release(reads_count);
    drain(*queue, reads_count - 1);
}

TEST_CASE("commits to many disks leave threads to reads of others", "[io][thread_pool][lanes]") {
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    std::counting_semaphore<> begun(0);
    thread_pool pool(4, 64, 2);
    constexpr int disks = 8;
    for (std::uint64_t disk = 1; disk <= disks; ++disk) {
        REQUIRE(pool.submit(
            lasting_job(
                disk,
                [&] {
                    begun.release();
                    release.acquire();
                }
            ),
            *queue,
            queueing::always
        ));
    }
    begun.acquire();
    begun.acquire();
    REQUIRE(pool.submit(job(100, [] {}), *queue, queueing::bounded));
    drain(*queue, 1);
    CHECK_FALSE(begun.try_acquire());
    release.release(disks);
    drain(*queue, disks);
}

TEST_CASE("pool takes jobs that completions submit", "[io][thread_pool]") {
    const auto queue = make_queue();
    thread_pool pool(2);
    int left = 50;
    std::function<void()> again = [&] {
        if (--left > 0) {
            REQUIRE(pool.submit(
                job(
                    1, [] {}, again
                ),
                *queue,
                queueing::bounded
            ));
        }
    };
    REQUIRE(pool.submit(
        job(
            1, [] {}, again
        ),
        *queue,
        queueing::bounded
    ));
    drain(*queue, 50);
    CHECK(left == 0);
}

TEST_CASE("pool drops waiting jobs when it is destroyed", "[io][thread_pool]") {
    const int before = test_job::destroyed;
    std::atomic<int> ran = 0;
    int finished = 0;
    {
        const auto queue = make_queue();
        std::binary_semaphore started(0);
        std::binary_semaphore release(0);
        std::thread releaser;
        {
            thread_pool pool(1);
            REQUIRE(pool.submit(
                job(
                    1,
                    [&] {
                        ++ran;
                        started.release();
                        release.acquire();
                    },
                    [&] { ++finished; }
                ),
                *queue,
                queueing::bounded
            ));
            started.acquire();
            for (int i = 0; i < 5; ++i) {
                REQUIRE(pool.submit(
                    job(
                        1, [&] { ++ran; }, [&] { ++finished; }
                    ),
                    *queue,
                    queueing::bounded
                ));
            }
            releaser = std::thread([&] { release.release(); });
        }
        releaser.join();
        // At least the job that ran came back; nobody drains it.
        CHECK(is_readable(*queue));
        CHECK(ran >= 1);
        CHECK(finished == 0);
    }
    CHECK(test_job::destroyed == before + 6);
    CHECK(finished == 0);
}

TEST_CASE("pool serves several workers, each with its own completions", "[io][thread_pool]") {
    constexpr int workers = 3;
    constexpr int jobs = 200;
    std::vector<std::unique_ptr<completion_queue>> queues;
    for (int i = 0; i < workers; ++i) {
        queues.push_back(make_queue());
    }
    std::atomic<int> ran = 0;
    std::atomic<int> wrong_thread = 0;
    std::atomic<int> refused = 0;
    {
        thread_pool pool(4, 1024);
        std::vector<std::thread> threads;
        for (int w = 0; w < workers; ++w) {
            threads.emplace_back([&, w] {
                completion_queue& queue = *queues[static_cast<std::size_t>(w)];
                const std::thread::id self = std::this_thread::get_id();
                std::size_t outstanding = 0;
                const auto collect = [&] {
                    ::pollfd wait{queue.native_handle(), POLLIN, 0};
                    ::poll(&wait, 1, -1);
                    outstanding -= queue.drain();
                };
                for (int i = 0; i < jobs; ++i) {
                    const bool taken = pool.submit(
                        job(
                            i % 3 == 0 ? 0 : 1,
                            [&] { ++ran; },
                            [&] { wrong_thread += std::this_thread::get_id() != self ? 1 : 0; }
                        ),
                        queue,
                        queueing::bounded
                    );
                    refused += taken ? 0 : 1;
                    outstanding += taken ? 1 : 0;
                    while (outstanding >= 30) {
                        collect();
                    }
                }
                while (outstanding > 0) {
                    collect();
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
    CHECK(ran == workers * jobs);
    CHECK(refused == 0);
    CHECK(wrong_thread == 0);
}

TEST_CASE("pool says when a job does not end", "[io][thread_pool]") {
    const auto queue = make_queue();
    thread_pool pool;
    CHECK(pool.wait_idle(0ms));
    std::binary_semaphore release(0);
    REQUIRE(pool.submit(job(0, [&] { release.acquire(); }), *queue, queueing::bounded));
    CHECK_FALSE(pool.wait_idle(1ms));
    release.release();
    CHECK(pool.wait_idle(30s));
    drain(*queue, 1);
}

TEST_CASE("jobs that are stuck leave all threads to the others", "[io][thread_pool][lanes]") {
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    constexpr std::size_t threads = 4;
    thread_pool pool(threads, 1024, 2, 20ms);
    // Five disks that do not answer, with more to do than they may have threads.
    constexpr std::uint64_t dead = 5;
    constexpr std::size_t dead_jobs = dead * 3;
    for (std::size_t i = 0; i < dead_jobs; ++i) {
        REQUIRE(
            pool.submit(job(i % dead + 1, [&] { release.acquire(); }), *queue, queueing::bounded)
        );
    }
    // As many of another as may run at the same time, though they wait for each other.
    std::atomic<std::size_t> together = 0;
    for (std::size_t i = 0; i < threads; ++i) {
        REQUIRE(pool.submit(
            job(0,
                [&] {
                    ++together;
                    together.notify_all();
                    for (std::size_t seen = together; seen < threads; seen = together) {
                        together.wait(seen);
                    }
                }),
            *queue,
            queueing::bounded
        ));
    }
    drain(*queue, threads);
    CHECK(together == threads);
    CHECK(pool.threads() <= dead * 2 + threads + 1);

    release.release(dead_jobs);
    drain(*queue, dead_jobs);
    // Threads that are not needed any more end one by one, with the jobs that they have done.
    CHECK(pool.wait_idle(30s));
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (pool.threads() > threads + 1 && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::yield();
    }
    CHECK(pool.threads() <= threads + 1);
    REQUIRE(pool.submit(job(1, [] {}), *queue, queueing::bounded));
    drain(*queue, 1);
}

TEST_CASE("there is a bound on threads that hang", "[io][thread_pool][lanes]") {
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    std::atomic<std::size_t> running = 0;
    thread_pool pool(2, 1024, 1, 1ms);
    constexpr std::size_t most = 2 * thread_pool::stuck_factor;
    for (std::uint64_t lane = 1; lane <= 3 * most; ++lane) {
        REQUIRE(pool.submit(
            job(lane,
                [&] {
                    ++running;
                    running.notify_all();
                    release.acquire();
                }),
            *queue,
            queueing::bounded
        ));
    }
    for (std::size_t seen = running; seen < most; seen = running) {
        running.wait(seen);
    }
    CHECK(pool.threads() == most);
    release.release(3 * most);
    drain(*queue, 3 * most);
    CHECK(running == 3 * most);
}

TEST_CASE("commits that are stuck leave threads to other commits", "[io][thread_pool][lanes]") {
    const auto queue = make_queue();
    std::counting_semaphore<> release(0);
    thread_pool pool(4, 1024, 2, 20ms);
    // As many dead disks as there are threads, each with a commit.
    constexpr std::uint64_t dead = 4;
    for (std::uint64_t lane = 1; lane <= dead; ++lane) {
        REQUIRE(pool.submit(lasting_job(lane, [&] { release.acquire(); }), *queue, queueing::always)
        );
    }
    REQUIRE(pool.submit(lasting_job(dead + 1, [] {}), *queue, queueing::always));
    drain(*queue, 1);
    release.release(dead);
    drain(*queue, dead);
}
