//! `logscan explain`: what a word of a log or of a report means, or a whole access line.

use std::ffi::OsString;
use std::io::{self, Read};
use std::process::ExitCode;

use super::{Given, TROUBLE, notice};
use crate::explain::{Entry, beside, explain, known, nearest, unread};
use crate::format::Formats;
use crate::sinks::{Page, Style, clean};

/// Says what a word means: a rule, response flags, a field or operator, a cluster, a detail, a port, a format; or reads
/// a whole access line field by field.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// Words, or an access line in quotes; `-` reads lines from standard input. Lists what is known if there are none
    #[arg(value_name = "WORD")]
    words: Vec<OsString>,

    #[command(flatten)]
    given: Given,
}

const EXAMPLES: &str = "\
Examples:
  logscan explain unexpected-cluster
  logscan explain UF,URX PassthroughCluster
  logscan explain upstream_local_address '%UPSTREAM_HOST%'
  logscan explain 'upstream_reset_before_response_started{connection_termination}'
  grep UF,URX proxy.log | head -1 | logscan explain -";

/// So much of standard input is read: it is for a few lines.
const MOST_BYTES: u64 = 1 << 20;
/// So many lines of it are explained.
const MOST_LINES: usize = 5;

/// So much of an unknown word is shown.
const SHOWN: usize = 60;

/// Runs the command.
pub(super) fn run(arguments: &Explain, style: Style) -> anyhow::Result<ExitCode> {
    let formats = arguments.given.formats()?;
    let mut page = Page::new(io::BufWriter::new(io::stdout().lock()), style);
    if arguments.words.is_empty() {
        let kind = "beside clusters of services, SNIs and whole access lines";
        page.entry(&Entry::list("What can be explained", kind, known(&formats)))?;
        page.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let texts = texts(&arguments.words)?;
    let mut all: Vec<(&[u8], Vec<Entry>)> = texts.iter().map(|text| (&text[..], explain(text, &formats))).collect();
    let joined = texts.join(&b" "[..]);
    if all.len() > 1 && all.first().is_some_and(|(_, entries)| entries.is_empty()) {
        // An error text whose quotes the shell took.
        let entries = explain(&joined, &formats);
        if !entries.is_empty() {
            all = vec![(&joined, entries)];
        }
    }
    let mut unknown = false;
    for (text, entries) in &all {
        for entry in entries {
            page.entry(entry)?;
        }
        if entries.is_empty() {
            unknown = true;
            page.flush()?;
            not_known(text, &formats);
        }
    }
    let words: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    for entry in beside(&words) {
        page.entry(&entry)?;
    }
    page.flush()?;
    Ok(if unknown { ExitCode::from(TROUBLE) } else { ExitCode::SUCCESS })
}

/// The arguments, and for `-` the lines of standard input.
fn texts(words: &[OsString]) -> io::Result<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    for word in words {
        if word != "-" {
            texts.push(word.as_encoded_bytes().to_vec());
            continue;
        }
        let mut bytes = Vec::new();
        io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes)?;
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        texts.extend(lines.by_ref().take(MOST_LINES).map(<[u8]>::to_vec));
        let more = lines.count();
        if more > 0 {
            notice(&format!("{more} more lines are left out; `logscan FILE` reads a log"));
        }
    }
    Ok(texts)
}

/// Says on standard error that a word is unknown, and what may have been meant.
fn not_known(text: &[u8], formats: &Formats) {
    if let Some(why) = unread(text, formats) {
        return notice(&clean(&why));
    }
    let text = &*String::from_utf8_lossy(text);
    let near = nearest(text, formats);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let hint = match &near[..] {
        [] => "`logscan explain` lists what is known".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    notice(&clean(&format!("`{shown}` is no word or access line that logscan knows; {hint}")));
}
