//! What holds for any input: any cut into blocks gives the same, and nothing panics.

use logscan::endpoint::Endpoint;
use logscan::format::Formats;
use logscan::leg::Leg;
use logscan::names::Names;
use logscan::scan::{Options, Scanned, Scanner, Tally};
use logscan::source::SourceId;
use logscan::source::block::Blocks;
use proptest::prelude::*;

use crate::tool::{path, sample_logs};

/// Scans bytes that arrive in reads of `read` bytes, in blocks of about `size`.
fn scanned(bytes: &[u8], read: usize, size: usize) -> Vec<Scanned> {
    struct Drip<'a>(&'a [u8], usize);
    impl std::io::Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    let formats = Formats::built_in().unwrap();
    let mut blocks = Blocks::new(Drip(bytes, read), SourceId(0), size);
    let mut scanner = Scanner::new(&formats, Options::default(), 0);
    let mut found = Vec::new();
    while let Some(block) = blocks.next(Vec::new()).unwrap() {
        found.push(scanner.scan(&block, Scanned::default()));
    }
    found
}

/// What was read, in terms that do not depend on blocks: legs with their ways as text, and the counts.
fn told(parts: Vec<Scanned>) -> (Vec<String>, String) {
    let mut tally = Tally::default();
    let mut legs = Vec::new();
    let (mut names, mut ways) = (Names::default(), Vec::new());
    for part in parts {
        for name in &part.names {
            names.intern(name);
        }
        ways.extend_from_slice(&part.ways);
        let names = &names;
        for leg in &part.legs {
            let way = &ways[leg.way as usize];
            let text = |name| String::from_utf8_lossy(names.get(name)).into_owned();
            let plain = Leg {
                way: 0,
                wire: Endpoint::default(),
                server: Endpoint::default(),
                peer: Endpoint::default(),
                ..*leg
            };
            legs.push(format!(
                "{plain:?} {} {} {} {:?} {} {} {} {}",
                leg.wire.show(names),
                leg.server.show(names),
                leg.peer.show(names),
                way.flags,
                text(way.cluster),
                text(way.pod),
                way.dest.show(names),
                text(way.sni)
            ));
        }
        tally.merge(part.tally);
    }
    (legs, format!("{tally:?}"))
}

#[test]
fn any_cut_of_any_sample_into_blocks_gives_the_same() {
    for log in sample_logs() {
        let bytes = std::fs::read(path(&log)).unwrap();
        let whole = told(scanned(&bytes, usize::MAX, 1 << 20));
        for (read, size) in [(1, 1), (7, 1), (100, 1), (333, 1000), (4096, 5000), (65_536, 1)] {
            assert_eq!(told(scanned(&bytes, read, size)), whole, "{log}: reads of {read}, blocks of {size}");
        }
    }
}

/// Bytes that look like log lines often enough to get far into the readers.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(&b"[2020-07-23T14:47:24.040Z] \"- - -\" 0 UF,URX "[..]),
        Just(&b"\"-\" \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \"10.0.23.221:5701\" "[..]),
        Just(&b"outbound|5701||app-ext.app.svc.cluster.local - 10.12.1.6:5701 10.12.0.12:52852 - -"[..]),
        Just(&b"\n"[..]),
        Just(&b"\" \""[..]),
        Just(&b"\""[..]),
        Just(&b" "[..]),
        Just(&b"-"[..]),
        Just(&b"{\""[..]),
        Just(&b"\"response_flags\":\"-\",\"start_time\":\"2020-07-23T14:47:24.040Z\""[..]),
        Just(&b"}"[..]),
        Just(&b"\\u12"[..]),
        Just(&b"{\"log\":\""[..]),
        Just(&b"\\n\",\"stream\":\"stdout\"}"[..]),
        Just(&b"2020-07-23T14:47:24.040Z stdout F "[..]),
        Just(&b"[pod/a/b] "[..]),
        Just(&b"\x1b[31m"[..]),
        Just(&b"\xff\x00"[..]),
        Just(&b"\r"[..]),
        Just(&b"[::1]:80 "[..]),
        Just(&b"envoy://a/"[..]),
        Just(&b"9999999999999999999999 "[..]),
        Just(&b"HTTP/1.1\" 200 "[..]),
    ];
    proptest::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_line_is_counted_once(bytes in prop_oneof![hostile(), proptest::collection::vec(any::<u8>(), 0..400)], size in 1usize..300) {
        let parts = scanned(&bytes, size, size);
        let lines: u64 = parts.iter().map(|part| part.tally.lines).sum();
        let ends = memchr::memchr_iter(b'\n', &bytes).count() as u64;
        let open = u64::from(!bytes.is_empty() && !bytes.ends_with(b"\n"));
        prop_assert_eq!(lines, ends + open);
        let mut all = Tally::default();
        for part in parts {
            all.merge(part.tally);
        }
        prop_assert_eq!(all.access() + all.others.values().sum::<u64>() + all.rejects.count(), lines);
    }

    #[test]
    fn any_cut_of_hostile_bytes_gives_the_same(bytes in hostile(), read in 1usize..100) {
        prop_assert_eq!(told(scanned(&bytes, read, 1)), told(scanned(&bytes, usize::MAX, 1 << 20)));
    }
}
