#include <algorithm>
#include <charconv>
#include <sim/wire_watch.hpp>
#include <string_view>

namespace tftp::sim {

namespace {

/// No timer of an established transfer is shorter (`rto_limits::variance_min`).
constexpr duration interval_min = std::chrono::milliseconds(20);

/// Doublings from the shortest interval to the longest, and the sends that follow a repeated ACK.
constexpr std::int64_t sends_besides = 24;

/// Strangers that are remembered; more than come in one batch.
constexpr std::size_t strangers_max = 256;

std::uint64_t value_of(const oack_view& oack, std::string_view name, std::uint64_t otherwise) {
    const auto text = oack.options.find(name);
    std::uint64_t value = otherwise;
    if (text) {
        std::from_chars(text->data(), text->data() + text->size(), value);
    }
    return value;
}

} // namespace

std::uint16_t wire_watch::number_of(std::uint64_t block) const noexcept {
    const bool to_one = rules_.engine.wrap == rollover::to_one && block > 65535;
    return static_cast<std::uint16_t>(to_one ? (block - 1) % 65535 + 1 : block % 65536);
}

std::optional<std::uint64_t>
wire_watch::find(std::uint16_t wire, std::uint64_t first, std::uint64_t last) const noexcept {
    for (std::uint64_t block = first; block <= last; ++block) {
        if (number_of(block) == wire) {
            return block;
        }
    }
    return std::nullopt;
}

bool wire_watch::from_peer(const endpoint& from) const noexcept {
    return peer_.family != address_family::none ? from == peer_ : from.same_host(asked_);
}

wire_watch::agreement wire_watch::read(const oack_view& oack) {
    return {
        value_of(oack, "windowsize", 1),
        value_of(oack, "blksize", blksize_default),
        std::chrono::seconds(value_of(oack, "timeout", 0)),
    };
}

void wire_watch::keep_options(const endpoint& from, const oack_view& oack) {
    const auto known = std::ranges::find(offers_, from, &std::pair<endpoint, agreement>::first);
    if (known == offers_.end()) {
        offers_.emplace_back(from, read(oack));
    }
}

/// The first answer that a client takes is seen by what it sends.
void wire_watch::fix_peer(const endpoint& to) {
    peer_ = to;
    const auto offer = std::ranges::find(offers_, to, &std::pair<endpoint, agreement>::first);
    if (offer != offers_.end()) {
        agreed_ = offer->second;
    }
    offers_.clear();
}

void wire_watch::on_sent(const endpoint& to, bytes_view octets, cause why, time_point now) {
    const auto packet = decode(octets);
    require(packet.has_value(), "what leaves is no TFTP packet");
    require(to.port != 0, "something leaves for port 0");
    if (!packet) {
        return;
    }
    if (const auto* error = std::get_if<error_view>(&*packet)) {
        on_error_sent(to, *error);
        return;
    }
    require(!error_sent_, "something follows the ERROR that ends a transfer");
    if (std::holds_alternative<request_view>(*packet)) {
        require(!over_ && !heard_, "a request leaves though the server answered");
        asked_ = to;
        writes_ = std::get<request_view>(*packet).op == opcode::wrq;
        return;
    }
    if (peer_.family == address_family::none) {
        fix_peer(to);
    }
    require(to == peer_, "something else than ERROR 5 goes to a stranger");
    if (const auto* data = std::get_if<data_view>(&*packet)) {
        on_data_sent(*data, why, now);
    } else if (const auto* ack = std::get_if<ack_view>(&*packet)) {
        on_ack_sent(*ack);
    } else if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        const bool unanswered = !over_ && acked_ == 0 && got_ == 0;
        require(unanswered, "an OACK leaves though it was answered");
        agreed_ = read(*oack);
        oack_sent_ = true;
    }
}

void wire_watch::on_error_sent(const endpoint& to, const error_view& error) {
    // Until its server is known, a client refuses whatever the asked host answers.
    const bool first = peer_.family == address_family::none && asked_.family == peer_.family;
    const bool to_peer = first || from_peer(to);
    const auto owed = std::ranges::find(strangers_, to);
    if (!to_peer || error.code == peer_errc::unknown_transfer_id) {
        require(error.code == peer_errc::unknown_transfer_id, "an ERROR goes to a stranger");
        require(owed != strangers_.end(), "an ERROR 5 that nobody asked for");
        require(!over_ || success_, "an ERROR 5 after the end");
        if (owed != strangers_.end()) {
            strangers_.erase(owed);
        }
        return;
    }
    require(!over_, "an ERROR after the end");
    require(!error_sent_, "a second ERROR");
    error_sent_ = true;
}

void wire_watch::on_data_sent(const data_view& data, cause why, time_point now) {
    require(!over_, "DATA after the end");
    require(acknowledged_ == 0, "DATA from the receiver");
    // What came before was forged.
    got_ = 0;
    whole_ = false;
    ++data_sent_;
    const auto block = find(data.block, acked_ + 1, acked_ + agreed_.windowsize);
    require(block.has_value(), "DATA outside the window");
    if (!block) {
        return;
    }
    // A socket that stays full for long is given up on, and what it did not take counts as sent.
    require(*block <= highest_ + 1 || held_up_, "DATA leaves a block out");
    data_sent_ += *block > highest_ ? *block - highest_ - 1 : 0;
    require(data.payload.size() <= agreed_.blksize, "DATA larger than agreed");
    require(last_ == 0 || *block <= last_, "DATA behind the last block");
    const bool last = data.payload.size() < agreed_.blksize;
    require(!last || last_ == 0 || last_ == *block, "the last block moves");
    if (last) {
        last_ = *block;
    }
    if (*block > highest_) {
        // A window that leaves slowly is no silence.
        highest_ = *block;
        progress_at_ = now;
    } else if (agreed_.windowsize == 1 && rules_.prompt && why == cause::datagram) {
        require(false, "a datagram caused a DATA again at windowsize 1");
    } else if (agreed_.windowsize == 1 && why == cause::datagram) {
        require(now - sent_at_ >= interval_min, "DATA again too early at windowsize 1");
    }
    sent_at_ = now;
}

void wire_watch::on_ack_sent(const ack_view& ack) {
    require(highest_ == 0, "an ACK from the sender");
    const auto block = find(ack.block, acknowledged_, got_);
    require(block.has_value(), "an ACK of a block that was not taken, or an older one");
    acknowledged_ = block.value_or(acknowledged_);
    require(!over_ || (success_ && whole_ && block == got_), "an ACK after the end");
}

void wire_watch::on_received(const endpoint& from, bytes_view octets, time_point now) {
    const auto packet = decode(octets);
    if (!packet) {
        return;
    }
    if (!from_peer(from)) {
        if (!std::holds_alternative<error_view>(*packet) && strangers_.size() < strangers_max) {
            strangers_.push_back(from);
        }
        return;
    }
    if (peer_.family == address_family::none && strangers_.size() < strangers_max) {
        // The client may take it as its server's answer or not.
        strangers_.push_back(from);
    }
    if (const auto* data = std::get_if<data_view>(&*packet)) {
        on_data_received(*data, now);
    } else if (const auto* ack = std::get_if<ack_view>(&*packet)) {
        on_ack_received(*ack, now);
    } else if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        if (asked_.family != address_family::none && acked_ == 0 && highest_ == 0 && got_ == 0) {
            // Once it was acknowledged, another one is of a transfer before, from the same port.
            if (peer_.family == address_family::none) {
                keep_options(from, *oack);
            }
            heard_ = true;
            progress_at_ = now;
        }
    }
}

void wire_watch::on_data_received(const data_view& data, time_point now) {
    // What comes to who writes belongs to somebody else's transfer.
    if (writes_ || whole_ || data.payload.size() > agreed_.blksize ||
        data.block != number_of(got_ + 1)) {
        return;
    }
    ++got_;
    heard_ = true;
    whole_ = data.payload.size() < agreed_.blksize;
    progress_at_ = now;
}

void wire_watch::on_ack_received(const ack_view& ack, time_point now) {
    const auto block = find(ack.block, acked_, highest_);
    if (!block) {
        return;
    }
    if (*block > acked_ || !heard_) {
        ++steps_;
        progress_at_ = now;
    }
    heard_ = true;
    acked_ = *block;
}

bool wire_watch::explains(bytes_view octets) const noexcept {
    const auto packet = decode(octets);
    if (!packet) {
        return true;
    }
    if (const auto* data = std::get_if<data_view>(&*packet)) {
        // Whatever came before the ACK of the OACK was for the transfer before.
        if (oack_sent_ && !heard_) {
            return false;
        }
        return find(data->block, acked_ + 1, acked_ + agreed_.windowsize).has_value();
    }
    const auto* const ack = std::get_if<ack_view>(&*packet);
    return ack == nullptr || find(ack->block, acknowledged_, got_).has_value();
}

bool wire_watch::is_last_ack(bytes_view octets) const noexcept {
    const auto packet = decode(octets);
    const auto* const ack = packet ? std::get_if<ack_view>(&*packet) : nullptr;
    return ack != nullptr && over_ && success_ && whole_ && ack->block == number_of(got_);
}

void wire_watch::check_patience(time_point now) {
    const engine_config& e = rules_.engine;
    const duration opening = e.rto.initial * ((1U << e.opening_sends) - 1U);
    // Blocks that come one now and then are no progress.
    const duration established = std::max<duration>(e.give_up, 2 * agreed_.timeout);
    // A sender that knows nothing yet may wait 0.7 s for each block of its first window.
    const auto blocks = static_cast<duration::rep>(std::min(got_, agreed_.windowsize));
    const duration first =
        std::min<duration>(2 * e.rto.initial + std::chrono::milliseconds(700) * blocks, e.give_up);
    const duration dally = std::max<duration>({e.dally_max, 2 * e.rto.max, first});
    const duration patience = (over_ ? dally : std::max(opening, established)) + rules_.slack;
    require(now - progress_at_ <= patience, "no progress, and the transfer is not given up");
}

void wire_watch::on_close(time_point now) {
    check_patience(now);
    // A window for each time the timer can fire before it gives up, for each step forward; a peer
    // that only repeats itself doubles that time.
    const engine_config& e = rules_.engine;
    const duration interval =
        agreed_.timeout == duration::zero() ? e.rto.max : std::min(agreed_.timeout, e.rto.max);
    const auto sends = static_cast<std::uint64_t>(2 * (e.give_up / interval) + sends_besides);
    require(repeats() <= agreed_.windowsize * sends * steps_, "more DATA than any loss explains");
}

} // namespace tftp::sim
