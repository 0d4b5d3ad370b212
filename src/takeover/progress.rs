//! How far it is: a bar for people at a terminal, lines for everything else.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::say;

const BETWEEN_LINES: Duration = Duration::from_secs(10);

pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    done: u64,
    begun: Instant,
    said: Instant,
}

impl Progress {
    pub fn begin(what: String, total: u64) -> Self {
        let shown = total > 0;
        let bar = (shown && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total);
            // the default style is a bar too
            if let Ok(style) =
                ProgressStyle::with_template("{msg:32} [{bar:30}] {pos}/{len} {per_sec} {eta}")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what.clone());
            bar
        });
        if shown && bar.is_none() {
            say(&format!("{what}: {total} documents"), true);
        }
        let now = Instant::now();
        Self {
            bar,
            what,
            total,
            done: 0,
            begun: now,
            said: now,
        }
    }

    pub fn step(&mut self, documents: usize) {
        let documents = u64::try_from(documents).unwrap_or_default();
        self.done += documents;
        if let Some(bar) = &self.bar {
            bar.inc(documents);
        } else if self.said.elapsed() >= BETWEEN_LINES {
            self.said = Instant::now();
            say(
                &format!(
                    "{}: {} of {}, {} documents/s",
                    self.what,
                    self.done,
                    self.total,
                    rate(self.done, self.begun)
                ),
                true,
            );
        }
    }

    pub fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Documents per second since then.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub fn rate(documents: u64, since: Instant) -> u64 {
    let seconds = since.elapsed().as_secs_f64();
    if seconds > 0.0 {
        (documents as f64 / seconds) as u64
    } else {
        documents
    }
}
