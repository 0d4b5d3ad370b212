//! The table: a measurement, and below it what it is compared with.

use std::time::Duration;

use crate::drive::Outcome;

pub fn section(title: &str) {
    println!("\n{title}");
}

pub fn row(name: &str, outcome: Outcome) {
    println!(
        "  {name:<40} {:>8.0}/s   p50 {:>9}   p99 {:>9}   {:>6.0} us of processor time each",
        outcome.per_second,
        millis(outcome.p50),
        millis(outcome.p99),
        outcome.work.as_secs_f64() * 1e6
    );
}

/// A number without a distribution.
pub fn fact(name: &str, value: &str) {
    println!("  {name:<44} {value}");
}

/// A ratio, and the least it should be, if anything is asked.
pub fn ratio(of: &str, ratio: f64, least: Option<f64>) {
    match least {
        Some(least) => verdict(
            &format!("{ratio:.2} of {of}"),
            &format!("at least {least:.2}"),
            ratio >= least,
        ),
        None => println!("    {ratio:.2} of {of}"),
    }
}

/// A measured value beside its target; missing it is said, not punished.
pub fn verdict(value: &str, target: &str, reached: bool) {
    let word = if reached { "ok" } else { "below" };
    println!("    {value:<48} target {target}: {word}");
}

/// A value with an upper limit.
pub fn most(value: f64, limit: f64, unit: &str) {
    verdict(
        &format!("{value:.1} {unit}"),
        &format!("under {limit:.0} {unit}"),
        value < limit,
    );
}

pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
