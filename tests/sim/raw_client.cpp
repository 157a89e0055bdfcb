#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/content.hpp>
#include <sim/raw_client.hpp>

namespace tftp::sim {

namespace {

constexpr endpoint listening = network::server_host.with_port(69);

std::uint16_t number_of(std::uint64_t block) {
    return static_cast<std::uint16_t>(block & 0xffff);
}

} // namespace

bool raw_client::does(std::uint32_t ppm, happening what) {
    if (!random_.chance(ppm)) {
        return false;
    }
    world_.seen.note(what);
    return true;
}

void raw_client::request(network& net, const endpoint& from) {
    std::array<std::byte, request_size_max> out{};
    const auto op = plan_.asked.read ? opcode::rrq : opcode::wrq;
    const auto used =
        encode_request(op, plan_.asked.name.text(), transfer_mode::octet, plan_.asked.options, out);
    last_.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(used.value()));
    if (world_.log.on()) {
        world_.log.line(net.now(), from, fmt::format("-> {}", describe(last_)));
    }
    net.send(from, listening, last_);
}

void raw_client::say(network& net, bytes_view octets) {
    if (world_.log.on()) {
        world_.log.line(net.now(), address(), fmt::format("-> {}", describe(octets)));
    }
    net.send(address(), peer_.value_or(listening), octets);
}

void raw_client::send_last(network& net) {
    if (!last_.empty()) {
        say(net, last_);
    }
}

void raw_client::restart(network& net) {
    net.wake(*this, net.now() + plan_.timeout, ++timer_);
}

void raw_client::on_wake(network& net, std::uint32_t what) {
    if (what == wake_begin) {
        for (unsigned i = 0; i < plan_.flood; ++i) {
            world_.seen.note(happening::flood);
            const auto port = static_cast<std::uint16_t>(address().port + 1 + i);
            request(net, address().with_port(port));
        }
        over_ = plan_.flood != 0;
        if (!over_) {
            request(net, address());
            restart(net);
        }
    } else if (what == wake_answer) {
        const datagram d = std::move(delayed_.front());
        delayed_.pop_front();
        take(net, d);
    } else if (what == timer_ && !over_ && !whole_) {
        if (++sends_ >= plan_.sends_max) {
            over_ = true;
            return;
        }
        if (!plan_.asked.read && peer_) {
            send_window(net);
        } else {
            send_last(net);
        }
        restart(net);
    }
}

void raw_client::on_arrival(network& net, const datagram& arrived) {
    if (over_) {
        return;
    }
    if (does(plan_.late_ppm, happening::answered_late)) {
        delayed_.push_back(arrived);
        net.wake(*this, net.now() + random_.up_to(plan_.late_lag), wake_answer);
        return;
    }
    take(net, arrived);
}

void raw_client::take(network& net, const datagram& arrived) {
    if (over_ || (peer_ && *peer_ != arrived.from)) {
        return;
    }
    if (world_.log.on()) {
        world_.log.line(net.now(), address(), fmt::format("<- {}", describe(arrived.octets)));
    }
    ++received_;
    const auto packet = decode(arrived.octets);
    require(packet.has_value(), "a plain client got no TFTP packet");
    if (does(plan_.vanish_ppm, happening::rogue_vanished)) {
        net.detach(*this);
        over_ = true;
        return;
    }
    if (std::holds_alternative<error_view>(*packet)) {
        over_ = !peer_ || *peer_ == arrived.from;
        return;
    }
    peer_ = arrived.from;
    misbehave(net);
    if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        if (next_ == 1 && acked_ == 0) {
            const auto agreed = accept_oack(*oack, plan_.asked.options);
            require(agreed.has_value(), "an OACK that a plain client cannot take");
            windowsize_ = agreed->windowsize;
            blksize_ = agreed->blksize;
            if (plan_.asked.read) {
                acknowledge(net, 0);
            } else {
                send_window(net);
            }
            restart(net);
        }
    } else if (const auto* data = std::get_if<data_view>(&*packet)) {
        require(plan_.asked.read, "DATA comes in answer to a write");
        on_data(net, *data);
    } else if (const auto* ack = std::get_if<ack_view>(&*packet)) {
        require(!plan_.asked.read, "an ACK comes in answer to a read");
        on_ack(net, ack->block);
    }
}

void raw_client::on_data(network& net, const data_view& data) {
    if (data.block != number_of(next_) || whole_) {
        acknowledge(net, next_ - 1);
        return;
    }
    const bool known = data.payload.size() <= content::at_most;
    require(
        !known ||
            std::ranges::equal(
                data.payload, content::at(plan_.asked.name.shift + stored_, data.payload.size())
            ),
        "a plain client got other octets than those of the file"
    );
    stored_ += data.payload.size();
    sends_ = 0;
    ++next_;
    if (data.payload.size() < blksize_) {
        require(stored_ == plan_.asked.name.size, "the file ends early for a plain client");
        whole_ = true;
        acknowledge(net, next_ - 1);
    } else if (next_ - 1 - acked_ >= windowsize_) {
        acknowledge(net, next_ - 1);
        restart(net);
    }
}

void raw_client::acknowledge(network& net, std::uint64_t block) {
    acked_ = block;
    const auto ack = encode_ack(number_of(block));
    last_.assign(ack.begin(), ack.end());
    send_last(net);
    if (does(plan_.double_ack_ppm, happening::ack_twice)) {
        for (std::uint64_t i = random_.between(1, 5); i > 0; --i) {
            send_last(net);
        }
    }
}

void raw_client::on_ack(network& net, std::uint16_t wire) {
    // An ACK of a block before `next_` is a repeat: wait for the timer (RFC 1123 4.2.3.1).
    for (std::uint64_t block = next_; block < next_ + windowsize_; ++block) {
        if (number_of(block) == wire) {
            next_ = block + 1;
            sends_ = 0;
            if (block * blksize_ > plan_.asked.name.size) {
                whole_ = true;
                return;
            }
            send_window(net);
            restart(net);
            return;
        }
    }
    if (wire == 0 && next_ == 1 && acked_ == 0) {
        acked_ = 1;
        send_window(net);
        restart(net);
    }
}

void raw_client::send_window(network& net) {
    const std::uint64_t size = plan_.asked.name.size;
    for (std::uint64_t block = next_; block < next_ + windowsize_; ++block) {
        const std::uint64_t offset = (block - 1) * blksize_;
        if (offset > size) {
            return;
        }
        std::uint64_t part = std::min(blksize_, size - offset);
        if (does(plan_.wrong_size_ppm, happening::data_of_wrong_size)) {
            part = random_.below(2) == 0 ? blksize_ + 1 : part / 2;
        }
        part = std::min<std::uint64_t>(part, content::at_most);
        last_.resize(header_size);
        encode_data_header(
            std::span<std::byte, header_size>(last_.data(), header_size), number_of(block)
        );
        const bytes_view octets =
            content::at(plan_.asked.name.shift + offset, static_cast<std::size_t>(part));
        last_.insert(last_.end(), octets.begin(), octets.end());
        send_last(net);
    }
}

void raw_client::misbehave(network& net) {
    if (does(plan_.future_ack_ppm, happening::ack_of_unsent)) {
        say(net, encode_ack(number_of(next_ + windowsize_ + random_.below(70'000))));
    }
    if (does(plan_.stale_ack_ppm, happening::ack_stale)) {
        say(net, encode_ack(number_of(random_.below(next_))));
    }
    if (does(plan_.garbage_ppm, happening::rogue_garbage)) {
        std::array<std::byte, 24> noise{};
        for (std::byte& octet : noise) {
            octet = static_cast<std::byte>(random_.next());
        }
        // An opcode that no packet has: anything else could be one.
        noise[0] = std::byte{7};
        say(net, bytes_view(noise).first(random_.below(noise.size() + 1)));
    }
    if (does(plan_.request_again_ppm, happening::rogue_request_again)) {
        const std::vector<std::byte> kept = last_;
        request(net, address());
        last_ = kept;
    }
    if (does(plan_.error_ppm, happening::error_storm)) {
        std::array<std::byte, 32> out{};
        const auto code = static_cast<peer_errc>(random_.below(12));
        const auto size = encode_error(code, "no", out).value();
        for (std::uint64_t i = random_.between(1, 20); i > 0; --i) {
            say(net, bytes_view(out).first(size));
        }
        over_ = true;
    }
}

} // namespace tftp::sim
