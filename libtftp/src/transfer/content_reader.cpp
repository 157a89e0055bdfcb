#include "transfer/content_reader.hpp"

#include <tftp/base/bytes.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace tftp {

/// Reads what the page cache does not hold.
class content_reader::cold_read final : public file_job<source> {
public:
    /// share: of `wanted.size` bytes.
    cold_read(
        job_slot& slot, content_reader& reader, budget_share share, const extent& wanted
    ) noexcept
        : file_job(slot, reader.source_), reader_(reader), wanted_(wanted.size) {
        result_.share = std::move(share);
        result_.offset = wanted.offset;
    }

    void run() noexcept override {
        result_.bytes.reset(new (std::nothrow) std::byte[wanted_]);
        if (!result_.bytes) {
            result_.error = make_error_code(boost::system::errc::not_enough_memory);
            return;
        }
        const ::iovec gap{result_.bytes.get(), wanted_};
        const auto outcome = file().read(result_.offset, {&gap, 1});
        if (outcome) {
            result_.outcome = *outcome;
        } else {
            result_.error = outcome.error();
        }
    }

private:
    void deliver() noexcept override { reader_.on_cold_read(std::move(result_)); }

    content_reader& reader_;
    std::size_t wanted_;
    cold_read_result result_;
};

content_reader::content_reader(job_slot& jobs, std::shared_ptr<source> from) noexcept
    : jobs_(jobs), source_(std::move(from)) {}

result<read_outcome> content_reader::fill(
    std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps
) noexcept {
    if (has_cold_read()) {
        return take_cold_read(offset, wanted, gaps);
    }
    const auto outcome = source_->try_read(offset, gaps);
    if (outcome || outcome.error() != errc::would_block || jobs_.host() != nullptr) {
        return outcome;
    }
    return source_->read(offset, gaps);
}

result<read_outcome> content_reader::take_cold_read(
    std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps
) noexcept {
    const cold_read_result cold = std::exchange(cold_, {});
    if (cold.error) {
        return cold.error;
    }
    const std::uint64_t end = cold.offset + cold.outcome.bytes;
    const bool covers =
        cold.offset <= offset && offset <= end && (end - offset >= wanted || cold.outcome.end);
    if (!covers) {
        // An ACK or a timeout changed what is to be sent meanwhile.
        return source_->try_read(offset, gaps);
    }
    const bytes_view content =
        bytes_view(cold.bytes.get(), cold.outcome.bytes).subspan(offset - cold.offset);
    std::size_t copied = 0;
    for (const ::iovec& gap : gaps) {
        const std::size_t part = std::min(gap.iov_len, content.size() - copied);
        std::memcpy(gap.iov_base, content.data() + copied, part);
        copied += part;
    }
    return read_outcome{copied, cold.outcome.end && copied == content.size()};
}

bool content_reader::start_cold_read(std::uint64_t offset, std::size_t wanted) noexcept {
    const extent all = source_->around(offset, wanted);
    budget_share share(jobs_.host()->buffers(), all.size, budget_use::reading, source_->lane());
    return share.held() && jobs_.submit<cold_read>(queueing::bounded, *this, std::move(share), all);
}

void content_reader::on_cold_read(cold_read_result brought) noexcept {
    cold_ = std::move(brought);
    if (!cold_.error) {
        source_->keep(cold_.offset, bytes_view(cold_.bytes.get(), cold_.outcome.bytes));
    }
}

void content_reader::release() noexcept {
    if (source_) {
        source_->unshare();
    }
    if (jobs_.host() != nullptr) {
        jobs_.host()->release(source_);
    }
}

} // namespace tftp
