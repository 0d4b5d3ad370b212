//! What a check found, for people and for programs.

use std::io::{self, Write};

use super::check::{Listed, Report};

pub fn json(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from)?;
    writeln!(out)
}

pub fn text(report: &Report) -> io::Result<()> {
    write(&mut io::stdout().lock(), report)
}

fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{}", report.database)?;
    if let Some(from) = &report.unfinished_move_from {
        writeln!(
            out,
            "\nIn the way: a move from {from} to here is not finished; run `ueauth migrate` again."
        )?;
    }
    writeln!(out, "\nDocuments")?;
    for collection in &report.collections {
        let remark = match (collection.computed, collection.known) {
            (true, _) => "   computed, holds no documents of its own",
            (_, false) => "   unknown, the server leaves it alone",
            _ => "",
        };
        writeln!(
            out,
            "  {:30} {:>10}{remark}",
            collection.name, collection.documents
        )?;
    }
    heading(
        out,
        "In the way: documents that cannot be read",
        &report.unreadable,
    )?;
    for document in &report.unreadable.list {
        for fault in &document.faults {
            writeln!(
                out,
                "  {} {}: {}: expected {}, found {}",
                document.collection,
                document.id,
                fault.field.as_deref().unwrap_or("(no single field)"),
                fault.expected,
                fault.found
            )?;
        }
    }
    more(out, &report.unreadable)?;
    heading(
        out,
        "In the way: documents that share what must be unique",
        &report.same_keys,
    )?;
    for twins in &report.same_keys.list {
        let [one, other] = &twins.ids;
        writeln!(
            out,
            "  {} {one} and {other} ({})",
            twins.collection, twins.index
        )?;
    }
    more(out, &report.same_keys)?;
    heading(
        out,
        "Accounts whose stored password is in clear text; nobody can sign in with it. `ueauth serve` and `ueauth migrate` write over it, and they choose a new one by recovery",
        &report.clear_text_passwords,
    )?;
    for id in &report.clear_text_passwords.list {
        writeln!(out, "  {id}")?;
    }
    more(out, &report.clear_text_passwords)?;
    if !report.indexes.is_empty() {
        writeln!(out, "\nIndexes")?;
    }
    for index in &report.indexes {
        writeln!(
            out,
            "  {}{} {} {}: {}",
            if index.hinders { "In the way: " } else { "" },
            index.collection,
            index.index,
            format!("{:?}", index.state).to_lowercase(),
            index.remark
        )?;
    }
    let verdict = if report.ready {
        "Nothing stands in the way."
    } else {
        "Something stands in the way, see above."
    };
    writeln!(out, "\n{verdict}")
}

fn heading<T>(out: &mut impl Write, text: &str, listed: &Listed<T>) -> io::Result<()> {
    if listed.count == 0 {
        return Ok(());
    }
    writeln!(out, "\n{text} ({})", listed.count)
}

fn more<T>(out: &mut impl Write, listed: &Listed<T>) -> io::Result<()> {
    let shown = u64::try_from(listed.list.len()).unwrap_or(u64::MAX);
    match listed.count.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more"),
    }
}
