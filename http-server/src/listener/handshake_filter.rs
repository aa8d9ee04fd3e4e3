//! A packet filter on a listening socket, which prevents that connections are established while it is about to close.

use std::io;

use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;

/// Lets the kernel drop the first packet (SYN) of the handshake of every new connection. A handshake that has begun completes.
///
/// Clients repeat the packet after a second. By then the listener is closed, and they are refused before they have sent a request; or
/// the next process listens, and they are served.
pub(super) fn drop_new_handshakes(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&FIRST_PACKETS_DROPPED)
}

/// The offset of the flags in the TCP header, with which the data that the filter reads begins.
const FLAGS_OFFSET: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// In classic BPF: drops packets with SYN and without ACK, and takes all others. The arguments of an instruction are its code, how many
/// instructions a jump skips if its condition is true or false, and its operand. The program returns how many bytes of the packet to
/// take.
const FIRST_PACKETS_DROPPED: [SockFilter; 5] = [
    SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_OFFSET),
    SockFilter::new(AND, 0, 0, SYN | ACK),
    SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];

// `linux/bpf_common.h`: the class, the size or operation, and the mode or source of each instruction.
// The class of loads is 0.
const LOAD_BYTE: u16 = 0x10 | 0x20;
const AND: u16 = 0x04 | 0x50;
const JUMP_IF_EQUAL: u16 = 0x05 | 0x10;
const RETURN: u16 = 0x06;
