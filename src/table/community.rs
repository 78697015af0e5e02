//! Community ids: the hash by which Zeek, Suricata and Wireshark name a connection on the wire.
//!
//! Source: the Community ID specification, version 1, by Corelight.

use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The protocol's number in IP: all that a proxy logs here is TCP.
const TCP: u8 = 6;

/// The id of the connection between two ends, whichever of them dialled.
pub(super) fn id(one: SocketAddr, other: SocketAddr) -> String {
    let key = |end: SocketAddr| (octets(end), end.port());
    let (first, second) = if key(one) <= key(other) { (one, other) } else { (other, one) };
    let mut hash = Sha1::new();
    // The seed.
    hash.update([0, 0]);
    for end in [first, second] {
        let (octets, length) = octets(end);
        hash.update(&octets[..length]);
    }
    hash.update([TCP, 0]);
    hash.update(first.port().to_be_bytes());
    hash.update(second.port().to_be_bytes());
    let mut text = [0; 28];
    // Twenty bytes are that many letters.
    let length = STANDARD.encode_slice(hash.finalize(), &mut text).unwrap_or_default();
    let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
    ["1:", text].concat()
}

/// The bytes of an address, and how many they are.
fn octets(end: SocketAddr) -> ([u8; 16], usize) {
    match end.ip() {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            (octets, 4)
        }
        IpAddr::V6(ip) => (ip.octets(), 16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's baseline of TCP, with the default seed.
    #[test]
    fn ids_are_those_of_the_specification() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, other) = (end("128.232.110.120:34855"), end("66.35.250.204:80"));
        assert_eq!(id(one, other), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id(other, one), id(one, other));
    }
}
