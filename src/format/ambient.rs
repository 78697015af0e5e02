//! What ztunnel's words are in Envoy's: which address is whose, and whose bytes were sent.
//!
//! ztunnel prints the two ends of its own TCP connection and the address inside of the tunnel; which of Envoy's four
//! addresses they are depends on the side at which it stood. It counts bytes from its own side of the connection,
//! Envoy always counts from the downstream's. Source: istio/ztunnel `src/proxy/metrics.rs`.

use crate::field::Field;
use crate::record::{Span, Spans};

/// Puts the values of a ztunnel line where Envoy's words for them are. Other lines have no direction and stay.
pub fn settle(line: &[u8], spans: &mut Spans) {
    let Some(direction) = spans.get(Field::Direction).of(line) else { return };
    let time = spans.get(Field::StartTime);
    if !time.is_none() {
        // A line is written at the end of its connection.
        spans.set(Field::EmitTime as u8, time);
        spans.set(Field::StartTime as u8, Span::NONE);
    }
    let tunnel = spans.get(Field::TunnelAddress);
    let inner = Some(spans.get(Field::UpstreamHost)).filter(|span| !span.is_none()).unwrap_or(tunnel);
    if direction == b"inbound" {
        spans.set(Field::UpstreamHost as u8, Span::NONE);
        spans.set(Field::DownstreamLocalAddress as u8, inner);
        return;
    }
    spans.set(Field::UpstreamHost as u8, inner);
    let (sent, received) = (spans.get(Field::BytesSent), spans.get(Field::BytesReceived));
    spans.set(Field::BytesSent as u8, received);
    spans.set(Field::BytesReceived as u8, sent);
}

/// The reverse of [`settle`], to write a line: what ztunnel prints for a slot, given what Envoy's words say.
pub fn unsettled<'v>(value: &impl Fn(u8) -> Option<&'v [u8]>, slot: u8) -> Option<&'v [u8]> {
    let inbound = value(Field::Direction as u8) == Some(b"inbound");
    match Field::ALL.get(slot as usize) {
        Some(Field::UpstreamHost) if inbound => value(Field::DownstreamLocalAddress as u8),
        Some(Field::BytesSent) if !inbound => value(Field::BytesReceived as u8),
        Some(Field::BytesReceived) if !inbound => value(Field::BytesSent as u8),
        Some(Field::StartTime) => value(Field::EmitTime as u8),
        _ => value(slot),
    }
}

/// The response flags that Envoy would print for an error of ztunnel's; none where it has no flag for it.
pub fn flags(error: &[u8]) -> &'static [u8] {
    let has = |text: &str| memchr::memmem::find(error, text.as_bytes()).is_some();
    FLAGS.iter().find(|(text, _)| has(text)).map_or(b"", |(_, flags)| flags.as_bytes())
}

/// What stands in an error, and the flag that it is. Source: istio/ztunnel `src/proxy.rs`, where errors are worded.
const FLAGS: &[(&str, &str)] = &[
    ("policy rejection", "UAEX"),
    ("revoked by CRL", "UAEX"),
    ("no healthy upstream", "UH"),
    ("no endpoints for workload", "UH"),
    ("no service or workload for hostname", "NR"),
    ("no service for target address", "NR"),
    ("no valid", "NR"),
    ("unknown waypoint", "NC"),
    ("unknown network gateway", "NC"),
    ("no gateway address", "NC"),
    ("no ip addresses were resolved", "DF"),
    ("dns lookup", "DF"),
    ("failed to drain", "LR"),
    ("connection drain", "LR"),
    ("policy change", "LR"),
    ("maybe a NetworkPolicy is blocking", "UF"),
    ("refused", "UF"),
    ("timed out", "UF"),
    ("No route to host", "UF"),
    ("unreachable", "UF"),
    ("connection failed", "UF"),
    ("tls error", "UF"),
    ("http2 handshake failed", "UF"),
    ("http status", "UF"),
    ("client disconnected", "DC"),
    ("destination disconnected", "UC"),
];
