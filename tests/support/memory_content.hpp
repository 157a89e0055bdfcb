#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace tftp::test {

/// Files in memory for servers of tests; an upload shows once it is committed. Thread-safe.
class memory_content final : public content_provider {
public:
    /// Opening `name` for reading or writing gives `why` from now on.
    void fail(const std::string& name, const error_code& why) {
        const std::lock_guard lock(mutex_);
        failures_[name] = why;
    }

    void set(const std::string& name, std::string octets) {
        const std::lock_guard lock(mutex_);
        files_[name] = std::make_shared<const std::string>(std::move(octets));
    }

    [[nodiscard]] std::optional<std::string> get(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = files_.find(name);
        return found == files_.end() ? std::nullopt : std::optional(*found->second);
    }

    [[nodiscard]] result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept override {
        const std::lock_guard lock(mutex_);
        const std::string name(wanted.name);
        if (const auto failed = failures_.find(name); failed != failures_.end()) {
            return failed->second;
        }
        const auto found = files_.find(name);
        if (found == files_.end()) {
            return make_error_code(peer_errc::not_found);
        }
        return std::make_shared<owning_source>(found->second, in_place);
    }

    [[nodiscard]] result<std::shared_ptr<sink>> open_write(const content_request& wanted
    ) noexcept override {
        const std::lock_guard lock(mutex_);
        std::string name(wanted.name);
        if (const auto failed = failures_.find(name); failed != failures_.end()) {
            return failed->second;
        }
        return std::make_shared<publishing_sink>(*this, std::move(name));
    }

    /// Files opened from now on show their bytes where they stand. Set before they are.
    bool in_place = false;

private:
    class owning_source final : public source {
    public:
        owning_source(std::shared_ptr<const std::string> text, bool placed)
            : text_(std::move(text)), octets_(std::as_bytes(std::span(*text_))), placed_(placed) {}

        [[nodiscard]] bytes_view
        in_place(std::uint64_t offset, std::size_t size) noexcept override {
            const bytes_view all = std::as_bytes(std::span(*text_));
            const bool shown = placed_ && offset <= all.size() && size <= all.size() - offset;
            return shown ? all.subspan(static_cast<std::size_t>(offset), size) : bytes_view();
        }

        [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
            return octets_.size();
        }

        [[nodiscard]] result<read_outcome>
        try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
            return octets_.try_read(offset, gaps);
        }

        [[nodiscard]] result<read_outcome>
        read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
            return octets_.read(offset, gaps);
        }

    private:
        std::shared_ptr<const std::string> text_;
        memory_source octets_;
        bool placed_;
    };

    class publishing_sink final : public sink {
    public:
        publishing_sink(memory_content& owner, std::string name)
            : owner_(owner), name_(std::move(name)), octets_(std::size_t{1} << 30) {}

        [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
            return octets_.reserve(size_bytes);
        }

        [[nodiscard]] error_code
        write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
            return octets_.write(offset, payloads);
        }

        [[nodiscard]] error_code commit() noexcept override {
            const bytes_view all = octets_.content();
            owner_.set(name_, {reinterpret_cast<const char*>(all.data()), all.size()});
            return octets_.commit();
        }

    private:
        memory_content& owner_;
        std::string name_;
        memory_sink octets_;
    };

    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<const std::string>> files_;
    std::map<std::string, error_code> failures_;
};

} // namespace tftp::test
