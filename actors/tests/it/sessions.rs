use std::convert::Infallible;

use futures_util::{FutureExt, StreamExt, future::join_all};
use ueauth_actors::{ActorError, Change, Journal, Record, UpdateError};

use crate::world::{SECOND, START, Session, World, run};

fn session(id: &str, account: &str, deadline: i64) -> Record<Session> {
    let value = Session {
        account: Some(account.into()),
        visits: 0,
    };
    Record::new(id, value)
        .until(deadline)
        .key(format!("account:{account}"))
        .key(format!("uid:{id}-uid"))
}

#[test]
fn a_cached_session_needs_no_journal() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        sessions
            .create(session("s", "ann", START + 60 * SECOND))
            .await
            .unwrap();
        for _ in 0..10 {
            let found = sessions.get("s").await.unwrap().unwrap();
            assert_eq!(found.account.as_deref(), Some("ann"));
        }
        assert_eq!(world.sessions.loads(), 0);
        assert!(node.sessions("other").get("s").await.unwrap().is_none());
        let again = sessions
            .create(session("s", "bob", START + 60 * SECOND))
            .await;
        assert!(matches!(again, Err(ActorError::Exists)));
    });
}

#[test]
fn a_session_ends_at_its_deadline() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let deadline = world.now() + 60 * SECOND;
        let mut notices = world.notices().await;
        sessions
            .create(session("s", "ann", deadline))
            .await
            .unwrap();
        notices.next().await.unwrap();
        world.until(deadline - 1).await;
        assert!(sessions.get("s").await.unwrap().is_some());
        assert!(notices.next().now_or_never().is_none());
        let notice = notices.next().await.unwrap();
        assert_eq!((notice.change, world.now()), (Change::Expired, deadline));
        assert!(sessions.get("s").await.unwrap().is_none());
        assert!(world.sessions.memory.is_empty());
        assert_eq!(node.counters().cached_sessions, 0);
    });
}

#[test]
fn nobody_gets_an_expired_session_that_is_still_stored() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let old = session("s", "ann", world.now() - 1);
        world.sessions.memory.insert("g", &old).await.unwrap();
        assert!(sessions.get("s").await.unwrap().is_none());
        assert!(sessions.take("s").await.unwrap().is_none());
        assert!(
            sessions
                .find_by_key("account:ann")
                .await
                .unwrap()
                .is_empty()
        );
        let updated = sessions.update("s", |_| Ok::<_, Infallible>(())).await;
        assert!(matches!(
            updated,
            Err(UpdateError::Actor(ActorError::NotFound))
        ));
        sessions
            .create(session("s", "bob", START + 60 * SECOND))
            .await
            .unwrap();
        let found = sessions.get("s").await.unwrap().unwrap();
        assert_eq!(found.account.as_deref(), Some("bob"));
        // Also between the deadline and the moment its deletion succeeds.
        world.sessions.set_down(true);
        world.until(START + 60 * SECOND).await;
        world.sessions.set_down(false);
        assert!(sessions.get("s").await.unwrap().is_none());
    });
}

#[test]
fn a_deadline_can_be_moved() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let start = world.now();
        sessions
            .create(session("s", "ann", start + 60 * SECOND))
            .await
            .unwrap();
        sessions.extend("s", start + 90 * SECOND).await.unwrap();
        let mut notices = world.notices().await;
        world.until(start + 90 * SECOND - 1).await;
        let record = sessions.record("s").await.unwrap().unwrap();
        assert_eq!(record.deadline, Some(start + 90 * SECOND));
        assert!(notices.next().now_or_never().is_none());
        assert_eq!(notices.next().await.unwrap().change, Change::Expired);
        assert_eq!(world.now(), start + 90 * SECOND);

        sessions
            .create(session("t", "ann", start + 900 * SECOND))
            .await
            .unwrap();
        sessions
            .update_draft("t", move |draft| {
                draft.deadline = Some(start + 100 * SECOND);
                draft.keys.push("extra".into());
                Ok::<_, Infallible>(())
            })
            .await
            .unwrap();
        let found = sessions.find_by_key("extra").await.unwrap();
        assert_eq!(found.len(), 1);
        let mut notices = world.notices().await;
        assert_eq!(notices.next().await.unwrap().change, Change::Expired);
        assert_eq!(world.now(), start + 100 * SECOND);
        assert!(sessions.get("t").await.unwrap().is_none());
    });
}

#[test]
fn an_update_applies_or_is_refused() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        sessions
            .create(session("s", "ann", START + 60 * SECOND))
            .await
            .unwrap();
        let visits = sessions
            .update("s", |session| {
                session.visits += 1;
                Ok::<_, Infallible>(session.visits)
            })
            .await
            .unwrap();
        assert_eq!(visits, 1);
        let refused = sessions
            .update("s", |session| {
                session.visits = 99;
                Err::<(), _>("no")
            })
            .await;
        assert!(matches!(refused, Err(UpdateError::Refused("no"))));
        assert_eq!(sessions.get("s").await.unwrap().unwrap().visits, 1);
    });
}

#[test]
fn updates_of_one_session_queue_up() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        sessions
            .create(session("s", "ann", START + 60 * SECOND))
            .await
            .unwrap();
        let updates = (0..200).map(|_| {
            sessions.update("s", |session| {
                session.visits += 1;
                Ok::<_, Infallible>(())
            })
        });
        for updated in join_all(updates).await {
            updated.unwrap();
        }
        assert_eq!(sessions.get("s").await.unwrap().unwrap().visits, 200);
        // None of them had to read again, as none of them raced another.
        assert_eq!(world.sessions.loads(), 0);
    });
}

#[test]
fn a_session_gets_a_new_id_and_keeps_its_keys() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let deadline = START + 60 * SECOND;
        sessions
            .create(session("old", "ann", deadline))
            .await
            .unwrap();
        sessions
            .rotate("old", "new", |draft| {
                draft.value.visits = 7;
                Ok::<_, Infallible>(())
            })
            .await
            .unwrap();
        assert!(sessions.get("old").await.unwrap().is_none());
        let record = sessions.record("new").await.unwrap().unwrap();
        assert_eq!((record.value.visits, record.deadline), (7, Some(deadline)));
        assert_eq!(record.keys, ["account:ann", "uid:old-uid"]);
        let found = sessions.find_by_key("uid:old-uid").await.unwrap();
        assert_eq!(found[0].id, "new");

        // A refusal leaves everything as it was; of racing rotations one wins.
        let refused = sessions.rotate("new", "x", |_| Err::<(), _>("no")).await;
        assert!(matches!(refused, Err(UpdateError::Refused("no"))));
        let ids: Vec<_> = (0..8).map(|n| format!("next{n}")).collect();
        let races = ids
            .iter()
            .map(|next| sessions.rotate("new", next, |_| Ok::<_, Infallible>(())));
        let won = join_all(races).await.iter().filter(|r| r.is_ok()).count();
        assert_eq!((won, world.sessions.memory.len()), (1, 1));
        world.until(deadline).await;
        world.settle().await;
        assert!(world.sessions.memory.is_empty());
    });
}

#[test]
fn an_interaction_is_taken_once() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let interactions = node.interactions("g");
        interactions.create(Record::new("i", 42)).await.unwrap();
        let takes = join_all((0..64).map(|_| interactions.take("i"))).await;
        let taken: Vec<_> = takes.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(*taken[0], 42);
        assert!(interactions.get("i").await.unwrap().is_none());
    });
}

#[test]
fn all_sessions_of_an_account_are_removed() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let deadline = START + 60 * SECOND;
        for id in ["a", "b", "c"] {
            sessions.create(session(id, "ann", deadline)).await.unwrap();
        }
        sessions
            .create(session("d", "bob", deadline))
            .await
            .unwrap();
        assert_eq!(sessions.find_by_key("account:ann").await.unwrap().len(), 3);
        assert_eq!(sessions.remove_by_key("account:ann").await.unwrap(), 3);
        assert_eq!(sessions.remove_by_key("account:ann").await.unwrap(), 0);
        assert!(sessions.get("b").await.unwrap().is_none());
        assert!(sessions.get("d").await.unwrap().is_some());
        let removed = sessions.remove("d").await.unwrap().unwrap();
        assert_eq!(removed.account.as_deref(), Some("bob"));
        assert!(sessions.remove("d").await.unwrap().is_none());
    });
}

#[test]
fn memory_is_bounded_and_the_rest_is_in_the_journal() {
    run(async {
        let world = World::new();
        let mut config = World::config();
        config.cached_per_group = 10;
        config.cached_in_total = 25;
        let node = world.node_with(config).await;
        for group in ["g", "h", "i", "j"] {
            let sessions = node.sessions(group);
            for n in 0..100 {
                let new = session(&format!("s{n}"), "ann", START + 60 * SECOND);
                sessions.create(new).await.unwrap();
            }
        }
        let cached = node.counters().cached_sessions;
        assert!((10..=28).contains(&cached), "{cached}");
        for n in 0..100 {
            let found = node.sessions("g").get(&format!("s{n}")).await.unwrap();
            assert!(found.is_some());
        }
        assert!(node.counters().cached_sessions <= 28);
    });
}
