//! What a report says of the mesh's configuration, with stand-ins.

use super::{Redactor, Text};
use crate::mesh::LeftOut;
use crate::report::{After, Difference, Mesh, Move, Proxy};

/// What stands in the place of a sentence that names objects.
const HIDDEN: &str = "not shown";

impl Redactor {
    /// The configuration that was given, and how the log compares with it.
    pub(super) fn mesh(&mut self, mesh: Mesh) -> Mesh {
        let Mesh { proxies, beside_logs, left_out, compared, differences, after } = mesh;
        let proxy = |row: Proxy| {
            let Proxy { pod, namespace, taken, version, files, listeners, clusters, endpoints } = row;
            Proxy {
                pod: self.behind("pod", &pod),
                namespace: self.behind("namespace", &namespace),
                taken,
                version,
                files: files.iter().map(|file| self.file(file)).collect(),
                listeners,
                clusters,
                endpoints,
            }
        };
        let proxies = proxies.into_iter().map(proxy).collect();
        let part = |part: LeftOut| {
            let LeftOut { file, place, why, wrong } = part;
            LeftOut {
                file: self.file(&file).into(),
                place: self.text(&place, Text::Other).into(),
                why: self.said(&why).into(),
                wrong,
            }
        };
        let left_out = left_out.into_iter().map(part).collect();
        let difference = |row: Difference| {
            let Difference { source, destination, logged, predicted, taken, first, last, lines } = row;
            Difference {
                source: self.said(&source),
                destination: self.said(&destination),
                logged: self.said(&logged),
                predicted: predicted.iter().map(|end| self.said(end)).collect(),
                taken,
                first,
                last,
                lines,
            }
        };
        let differences = differences.into_iter().map(difference).collect();
        let after = after.map(|After { asked, elsewhere, may, moves, changes, open }| {
            let one = |row: Move| {
                let Move { source, destination, from, to, lines } = row;
                Move {
                    source: self.said(&source),
                    destination: self.said(&destination),
                    from: self.said(&from),
                    to: to.iter().map(|end| self.said(end)).collect(),
                    lines,
                }
            };
            let moves = moves.into_iter().map(one).collect();
            // These name objects in sentences of ours, of which only the number is told.
            let hidden = |list: Vec<String>| list.iter().map(|_| HIDDEN.to_owned()).collect();
            After { asked, elsewhere, may, moves, changes: hidden(changes), open: hidden(open) }
        });
        Mesh { proxies, beside_logs, left_out, compared, differences, after }
    }
}
