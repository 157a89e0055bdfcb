#include <tftp/content/content.hpp>

#include <boost/system/system_error.hpp>

#include <new>

namespace tftp {

namespace {

/// Owns what a `memory_source` shows.
template <class Owner>
class owning_source final : public source {
public:
    explicit owning_source(Owner owned) noexcept
        : owned_(std::move(owned)), shown_(std::as_bytes(std::span(owned_))) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return shown_.size();
    }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return shown_.try_read(offset, gaps);
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return shown_.read(offset, gaps);
    }

private:
    Owner owned_;
    memory_source shown_;
};

class collecting_sink final : public sink {
public:
    collecting_sink(std::size_t limit_bytes, std::function<void(std::string)> done) noexcept
        : memory_(limit_bytes), done_(std::move(done)) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        return memory_.reserve(size_bytes);
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        return memory_.write(offset, payloads);
    }

    [[nodiscard]] error_code commit() noexcept override {
        try {
            const bytes_view all = memory_.content();
            done_(std::string(reinterpret_cast<const char*>(all.data()), all.size()));
            return {};
        } catch (const boost::system::system_error& failed) {
            return failed.code();
        } catch (const std::bad_alloc&) {
            return make_error_code(boost::system::errc::not_enough_memory);
        } catch (...) {
            return make_error_code(boost::system::errc::io_error);
        }
    }

private:
    memory_sink memory_;
    std::function<void(std::string)> done_;
};

} // namespace

content text(std::string what) {
    return std::make_shared<owning_source<std::string>>(std::move(what));
}

content bytes(std::vector<std::byte> what) {
    return std::make_shared<owning_source<std::vector<std::byte>>>(std::move(what));
}

destination collect(std::size_t limit_bytes, std::function<void(std::string)> done) {
    return std::make_shared<collecting_sink>(limit_bytes, std::move(done));
}

} // namespace tftp
