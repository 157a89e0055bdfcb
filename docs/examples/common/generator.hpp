#pragma once

#include <coroutine>
#include <exception>
#include <utility>

namespace example {

/// A function that stops at each co_yield, hands out a value, and goes on where it stopped when it
/// is asked for the next one. C++23 has std::generator; this is how one is made.
///
/// Move-only. Destroyed half-way, it destroys its local variables as a return would.
template <class Value>
class generator {
public:
    /// What the compiler calls: when the function begins, yields, returns or throws.
    struct promise_type {
        Value value{};
        std::exception_ptr failure;

        generator get_return_object() {
            return generator(std::coroutine_handle<promise_type>::from_promise(*this));
        }

        /// It does nothing before the first value is asked for.
        std::suspend_always initial_suspend() noexcept { return {}; }

        /// Its owner destroys it, so that done() can be asked.
        std::suspend_always final_suspend() noexcept { return {}; }

        std::suspend_always yield_value(Value yielded) {
            value = std::move(yielded);
            return {};
        }

        void return_void() noexcept {}

        void unhandled_exception() noexcept { failure = std::current_exception(); }
    };

    generator(generator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

    generator& operator=(generator&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    ~generator() {
        if (handle_) {
            handle_.destroy();
        }
    }

    /// Runs to the next co_yield. Returns false when the function has returned; throws what it
    /// threw.
    [[nodiscard]] bool next() {
        handle_.resume();
        if (handle_.promise().failure) {
            std::rethrow_exception(std::exchange(handle_.promise().failure, nullptr));
        }
        return !handle_.done();
    }

    /// Returns what was yielded last.
    [[nodiscard]] const Value& value() const { return handle_.promise().value; }

private:
    explicit generator(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;
};

} // namespace example
