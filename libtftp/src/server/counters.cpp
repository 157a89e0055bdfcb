#include <tftp/server/counters.hpp>

namespace tftp {

server_counts& server_counts::operator+=(const server_counts& other) noexcept {
    requests += other.requests;
    started += other.started;
    succeeded += other.succeeded;
    failed += other.failed;
    bytes_sent += other.bytes_sent;
    bytes_received += other.bytes_received;
    retransmissions += other.retransmissions;
    for (std::size_t i = 0; i < reasons; ++i) {
        dropped[i] += other.dropped[i];
    }
    return *this;
}

server_counts shard_counters::read() const noexcept {
    server_counts now;
    now.requests = requests.get();
    now.started = started.get();
    now.succeeded = succeeded.get();
    now.failed = failed.get();
    now.bytes_sent = bytes_sent.get();
    now.bytes_received = bytes_received.get();
    now.retransmissions = retransmissions.get();
    for (std::size_t i = 0; i < reasons; ++i) {
        now.dropped[i] = dropped[i].get();
    }
    return now;
}

} // namespace tftp
