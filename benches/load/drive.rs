//! Keeps several connections busy and says how fast the answers came.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::wire::{Answer, Connection};

/// What one connection does again and again.
pub trait Work {
    async fn step(&mut self, http: &mut Connection) -> Result<(), String>;
}

#[derive(Clone, Copy)]
pub struct Load {
    pub port: u16,
    /// The server's process.
    pub pid: u32,
    pub connections: usize,
    /// Measured steps of each connection; a tenth more go before, unmeasured.
    pub each: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Processor time of the server for one step; other programs disturb it less than the rest.
    pub work: Duration,
}

impl Load {
    /// Runs the work that `make` gives each connection.
    pub async fn run<W: Work>(self, mut make: impl FnMut(usize) -> W) -> Outcome {
        let barrier = Barrier::new(self.connections);
        let connections = (0..self.connections).map(|number| {
            let mut work = make(number);
            let barrier = &barrier;
            async move {
                let mut http = Connection::open(self.port).await.expect("a connection");
                for _ in 0..self.each.div_ceil(10) {
                    work.step(&mut http).await.expect("a step");
                }
                barrier.wait().await;
                let start = Instant::now();
                let mut times = Vec::with_capacity(self.each);
                for _ in 0..self.each {
                    let began = Instant::now();
                    work.step(&mut http).await.expect("a step");
                    times.push(began.elapsed());
                }
                (start, Instant::now(), times)
            }
        });
        let before = processor_time(self.pid);
        let done = join_all(connections).await;
        let steps = self.connections * (self.each + self.each.div_ceil(10));
        let work = processor_time(self.pid)
            .saturating_sub(before)
            .as_secs_f64();
        let start = done.iter().map(|(start, ..)| *start).min();
        let end = done.iter().map(|(_, end, _)| *end).max();
        let took = end.expect("an end") - start.expect("a start");
        let mut times: Vec<Duration> = done.into_iter().flat_map(|(.., times)| times).collect();
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        Outcome {
            per_second: rate(times.len(), took),
            p50: at(50),
            p99: at(99),
            work: Duration::from_secs_f64(work / count(steps)),
        }
    }
}

/// How many a second.
pub fn rate(number: usize, took: Duration) -> f64 {
    count(number) / took.as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn count(number: usize) -> f64 {
    number as f64
}

/// What a process has used so far, in steps of 10 ms.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // the name in parentheses may hold spaces; user and system time are the 12th and 13th after it
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .map(|rest| rest.split_whitespace().skip(11).take(2))
        .into_iter()
        .flatten()
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Requests without memory, one after the other; each answers 200 and holds a text.
#[derive(Clone)]
pub struct Repeat {
    requests: Rc<Vec<Vec<u8>>>,
    next: usize,
    holds: &'static str,
    unchecked: usize,
}

impl Repeat {
    pub fn one(request: Vec<u8>, holds: &'static str) -> Self {
        Self::many(Rc::new(vec![request]), 0, holds)
    }

    pub fn many(requests: Rc<Vec<Vec<u8>>>, first: usize, holds: &'static str) -> Self {
        Self {
            requests,
            next: first,
            holds,
            unchecked: 3,
        }
    }
}

impl Work for Repeat {
    async fn step(&mut self, http: &mut Connection) -> Result<(), String> {
        let request = &self.requests[self.next % self.requests.len()];
        self.next += 1;
        let answer = http.send(request).await.map_err(|e| e.to_string())?;
        expect(&answer, 200)?;
        if self.unchecked > 0 {
            self.unchecked -= 1;
            if !answer.text().contains(self.holds) {
                return Err(format!("no {} in {}", self.holds, answer.text()));
            }
        }
        Ok(())
    }
}

pub fn expect(answer: &Answer<'_>, status: u16) -> Result<(), String> {
    if answer.status == status {
        Ok(())
    } else {
        Err(format!(
            "{} instead of {status}: {}",
            answer.status,
            answer.text()
        ))
    }
}
