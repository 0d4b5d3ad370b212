//! What happens to a test whose tools are missing.

use std::fs::OpenOptions;
use std::io::Write;

/// Says why a test does not run, and notes it in the file that `UEAUTH_SKIP_LOG` names. Fails when `CI` is `true`.
pub fn skip(what: &str, why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what} can not run: {why}"
    );
    eprintln!("skipped: {what}: {why}");
    if let Some(path) = std::env::var_os("UEAUTH_SKIP_LOG") {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the skip log can be written");
        writeln!(log, "{what}: {why}").expect("the skip log can be written");
    }
}
