//! Who gets what answer: every route of the server, asked by every kind of caller.
//!
//! `table.txt` says what is expected. `UEAUTH_TEST_WRITE_MATRIX=1` writes what the server answers
//! into it instead; what has changed is then for people to review.

pub mod callers;
mod probes;
pub mod request;
mod special;
mod stock;
pub mod table;
mod variants;
pub mod world;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::iter;

use crate::server::{Server, Store};
use callers::COLUMNS;
use table::{Row, Table};
use world::World;

/// Groups of rows under way at once.
const AT_ONCE: usize = 8;

/// The same rows in the order they are asked; different lanes run at the same time.
fn lanes(rows: Vec<Row>) -> (Vec<Vec<Row>>, Vec<Row>) {
    let mut ordered: BTreeMap<usize, Row> = BTreeMap::new();
    let mut last: BTreeMap<usize, Row> = BTreeMap::new();
    let mut lanes = Vec::new();
    for row in rows {
        if let Some(place) = variants::in_order(&row) {
            ordered.insert(place, row);
        } else if let Some(place) = variants::at_the_end(&row) {
            last.insert(place, row);
        } else {
            lanes.push(vec![row]);
        }
    }
    lanes.push(ordered.into_values().collect());
    (lanes, last.into_values().collect())
}

async fn observe(world: &World, rows: Vec<Row>) -> Table {
    let (lanes, last) = lanes(rows);
    let ask = async |rows: Vec<Row>| {
        let mut seen = Vec::new();
        for row in rows {
            let cells = Box::pin(world.ask(&row)).await;
            seen.push((row, cells));
        }
        seen
    };
    let mut table = Table::default();
    let mut answers = iter(lanes).map(ask).buffer_unordered(AT_ONCE);
    while let Some(seen) = answers.next().await {
        table.rows.extend(seen);
    }
    table.rows.extend(ask(last).await);
    table
}

fn all() -> Vec<&'static str> {
    COLUMNS.iter().map(|(code, _)| *code).collect()
}

/// Compares what the store makes of the callers with these codes.
async fn compare(store: Store, asked: &[&str]) {
    let closed = [("groups.open_registration", "false")];
    let Some(server) = Server::start_with(store, &closed).await else {
        return;
    };
    let mut world = Box::pin(World::create(server)).await;
    world.callers.retain(|caller| asked.contains(&caller.code));
    let rows = variants::rows(&world.document().await);
    let observed = Box::pin(observe(&world, rows)).await;
    let all_asked = asked.len() == COLUMNS.len();
    if all_asked && std::env::var("UEAUTH_TEST_WRITE_MATRIX").is_ok_and(|value| value == "1") {
        return observed.write();
    }
    let faults = Table::read().of(asked).differences(&observed, asked);
    assert!(
        faults.is_empty(),
        "{} rows differ; if that is meant, write tests/it/matrix/table.txt anew and review it:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test]
async fn every_route_answers_every_caller_as_written() {
    Box::pin(compare(Store::Embedded, &all())).await;
}

/// Every route asks the store there. Four callers stand for the ways their rights are found: FerretDB looks through
/// whole collections, so that all fourteen take minutes.
#[tokio::test]
async fn every_route_answers_some_callers_as_written_on_mongodb() {
    Box::pin(compare(Store::Mongo, &["mem", "orgA", "own", "cliA"])).await;
}

#[tokio::test]
#[ignore = "slow"]
async fn every_route_answers_every_caller_as_written_on_mongodb() {
    Box::pin(compare(Store::Mongo, &all())).await;
}
