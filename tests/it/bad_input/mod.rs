//! Bad input at every route: refused with a reason, nothing stored, nothing secret logged, the server goes on.
//!
//! The requests are made from the OpenAPI document that the server gives out and from its route tables.

mod bodies;
mod cast;
mod kinds;
mod open_login;
mod shots;
mod state;
mod world;

use std::collections::BTreeSet;

use ueauth::serve::all_routes;

use crate::server::Server;
use kinds::long;
use world::{Place, World};

on_both_stores! {
    /// The server neither changes nor suffers, and afterwards takes the good requests that the bad ones were made of.
    async fn is_refused_and_leaves_no_trace(server: Server) {
        let world = Box::pin(World::create(server)).await;
        let mut before = world.state().await;
        let mut faults = Vec::new();
        for (name, shots) in kinds::all(&world) {
            let count = shots.len();
            assert!(count > 100, "{name}: only {count}");
            let wrong = world.fire(shots).await;
            faults.extend(wrong.into_iter().map(|fault| format!("{name}: {fault}")));
            let after = world.state().await;
            let changes = before.changes(&after);
            faults.extend(changes.into_iter().map(|change| format!("{name}: {change}")));
            before = after;
            world.must_be_ready().await;
        }
        faults.extend(world.logged_secrets());
        assert!(!world.server.log().contains("panicked at"), "the server panicked");
        faults.extend(world.good_requests().await);
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }
}

/// The document and the tables tell the same, so that the tests above leave no route out.
#[tokio::test]
async fn the_document_names_every_route() {
    let server = Server::start(crate::server::Store::Embedded)
        .await
        .expect("a server");
    let document = crate::answer::send(Server::http().get(format!("{}/swagger.json", server.url)))
        .await
        .expect(200)
        .json();
    let documented: BTreeSet<_> = Place::of_document(&document)
        .into_iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let listed: BTreeSet<_> = all_routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(documented, listed);
}
