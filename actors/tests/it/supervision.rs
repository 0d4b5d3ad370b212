use std::{convert::Infallible, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use ueauth_actors::{
    ActorError, Answer, Change, Kind, ManualClock, MemoryBus, MemoryJournal, Parts, Record,
    Registry, Status, Threads, UpdateError,
};

use crate::world::{SECOND, START, Session, World, challenge, id, issued, run};

#[test]
fn a_keeper_that_panics_is_replaced() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        sessions
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        let mut notices = world.notices().await;
        let failed = sessions
            .update("s", |_| -> Result<(), Infallible> { panic!("by a test") })
            .await;
        assert!(matches!(
            failed,
            Err(UpdateError::Actor(ActorError::Restarted))
        ));
        let visits = sessions
            .update("s", |session| {
                session.visits += 1;
                Ok::<_, Infallible>(session.visits)
            })
            .await;
        assert_eq!(visits.unwrap(), 1);
        let counters = node.counters();
        assert_eq!((counters.restarts, counters.keepers), (1, 3));
        // Other nodes are told that they may have missed something.
        let notice = notices.next().await.unwrap();
        assert_eq!(
            (notice.kind, notice.change),
            (Kind::Session, Change::Resync)
        );
    });
}

#[test]
fn who_waits_for_a_failed_keeper_is_told_and_nothing_is_lost() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let deadline = world.now() + 60 * SECOND;
        let wait = {
            let (challenges, id) = (challenges.clone(), id.clone());
            tokio::spawn(async move { challenges.wait(&id, deadline).await })
        };
        let mut subscription = challenges.subscribe(&id).await.unwrap();
        world.settle().await;
        world.challenges.panic_next(1);
        let failed = challenges.answer(&id, Answer::Approve, "p").await;
        assert!(matches!(failed, Err(ActorError::Restarted)));
        assert!(matches!(wait.await.unwrap(), Err(ActorError::Restarted)));
        let item = subscription.next().await.unwrap();
        assert!(matches!(item, Err(ActorError::Restarted)));
        assert!(subscription.next().await.is_none());
        world.settle().await;
        let counters = node.counters();
        assert_eq!((counters.waiters, counters.subscriptions), (0, 0));
        // The new keeper knows what is pending.
        assert_eq!(counters.pending_challenges, 1);
        let mut notices = world.notices().await;
        assert_eq!(notices.next().await.unwrap().change, Change::Expired);
        assert_eq!(world.now(), deadline);
    });
}

#[test]
fn a_keeper_that_keeps_failing_is_restarted_ever_later() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let fail = async || {
            let start = world.now();
            let failed = sessions.get("s").await;
            assert!(matches!(failed, Err(ActorError::Restarted)));
            world.settle().await;
            world.now() - start
        };
        world.sessions.panic_next(4);
        let mut delays = Vec::new();
        for _ in 0..4 {
            delays.push(fail().await);
        }
        assert!(delays[1] < delays[2] && delays[2] < delays[3], "{delays:?}");
        assert!(sessions.get("s").await.unwrap().is_none());
    });
}

#[test]
fn a_full_mailbox_answers_busy() {
    run(async {
        let world = World::new();
        let mut config = World::config();
        config.mailbox = 2;
        config.retry_after_secs = 3;
        let node = world.node_with(config).await;
        let sessions = node.sessions("g");
        world.sessions.hold();
        let calls: Vec<_> = (0..2)
            .map(|n| {
                let sessions = sessions.clone();
                tokio::spawn(async move { sessions.get(&format!("s{n}")).await })
            })
            .collect();
        world.settle().await;
        for _ in 0..10 {
            let refused = sessions.get("s9").await;
            assert!(matches!(
                refused,
                Err(ActorError::Busy {
                    retry_after_secs: 3
                })
            ));
        }
        assert_eq!(node.counters().refused, 10);
        // Neither the other keepers of the group nor other groups are concerned.
        assert!(node.interactions("g").get("i").await.is_ok());
        world.sessions.release();
        for call in calls {
            assert!(call.await.unwrap().unwrap().is_none());
        }
        assert!(sessions.get("s9").await.is_ok());
    });
}

#[test]
fn an_idle_group_goes_to_sleep_and_leaves_nothing() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let sessions = node.sessions("g");
        let journals = Arc::strong_count(&world.sessions);
        let before = tasks();
        sessions
            .create(Record::new("s", Session::default()).until(START + 3_600 * SECOND))
            .await
            .unwrap();
        let copy = Arc::downgrade(&sessions.record("s").await.unwrap().unwrap());
        assert_eq!(node.counters().supervisors, 1);
        assert_eq!(node.counters().keepers, 3);
        tokio::time::sleep(Duration::from_secs(299)).await;
        sessions.get("s").await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(299)).await;
        assert_eq!(node.counters().supervisors, 1, "used in between");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let counters = node.counters();
        assert_eq!((counters.supervisors, counters.keepers), (0, 0));
        assert_eq!(counters.cached_sessions, 0);
        assert!(copy.upgrade().is_none());
        assert_eq!(Arc::strong_count(&world.sessions), journals);
        assert_eq!(tasks(), before, "no task is left");

        assert!(sessions.get("s").await.unwrap().is_some());
        assert_eq!(node.counters().supervisors, 1);
    });
}

/// The tasks that are alive in this test.
fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[test]
fn a_group_stays_awake_for_what_is_pending() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let deadline = world.now() + 3_600 * SECOND;
        challenges.issue(challenge(id(0), deadline)).await.unwrap();
        let mut notices = world.notices().await;
        assert_eq!(notices.next().await.unwrap().change, Change::Expired);
        assert_eq!(world.now(), deadline);
        tokio::time::sleep(Duration::from_secs(601)).await;
        assert_eq!(node.counters().supervisors, 0);

        // And for what is being read.
        world.sessions.hold();
        let sessions = node.sessions("g");
        let call = tokio::spawn(async move { sessions.get("s").await });
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(node.counters().supervisors, 1);
        world.sessions.release();
        assert!(call.await.unwrap().unwrap().is_none());
        tokio::time::sleep(Duration::from_secs(601)).await;
        assert_eq!(node.counters().supervisors, 0);
    });
}

#[test]
fn a_new_process_expires_what_an_old_one_left() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let deadline = world.now() + 60 * SECOND;
        for group in ["g", "h"] {
            let challenges = node.challenges(group);
            challenges.issue(challenge(id(0), deadline)).await.unwrap();
        }
        node.stop();
        let refused = node.challenges("g").status(&id(0)).await;
        assert!(matches!(refused, Err(ActorError::Stopped)));
        drop(node);
        world.settle().await;
        assert_eq!(Arc::strong_count(&world.challenges), 1, "all gone");

        let mut notices = world.notices().await;
        let node = world.node().await;
        assert_eq!(node.resume().await.unwrap(), 2);
        // The journal may not be there yet.
        world.challenges.set_down(true);
        world.until(deadline - 20 * SECOND).await;
        assert_eq!(node.counters().pending_challenges, 0);
        world.challenges.set_down(false);
        for _ in 0..2 {
            assert_eq!(notices.next().await.unwrap().change, Change::Expired);
            assert_eq!(world.now(), deadline);
        }
        assert!(notices.next().now_or_never().is_none());
    });
}

#[test]
fn dropping_the_registry_ends_everything() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let mut subscription = challenges.subscribe(&id).await.unwrap();
        drop(challenges);
        node.stop();
        assert!(subscription.next().await.unwrap().is_err());
        drop((node, subscription));
        world.settle().await;
        assert_eq!(Arc::strong_count(&world.challenges), 1);
    });
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

/// On threads of its own, called from a runtime that knows nothing of actors.
#[test]
fn works_from_any_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = ManualClock::new(START);
        let node: Registry<Session, u32> = Registry::start(
            ueauth_actors::Config {
                threads: Threads::Own(NonZeroUsize::new(2).unwrap()),
                ..World::config()
            },
            Parts {
                clock: Arc::new(clock.clone()),
                bus: Arc::new(MemoryBus::default()),
                sessions: Arc::new(MemoryJournal::default()),
                interactions: Arc::new(MemoryJournal::default()),
                challenges: Arc::new(MemoryJournal::default()),
            },
        )
        .unwrap();
        let mut calls = Vec::new();
        for group in 0..16 {
            let sessions = node.sessions(&format!("g{group}"));
            calls.push(tokio::spawn(assert_send(async move {
                sessions
                    .create(Record::new("s", Session::default()))
                    .await
                    .unwrap();
                for _ in 0..50 {
                    sessions
                        .update("s", |session| {
                            session.visits += 1;
                            Ok::<_, Infallible>(())
                        })
                        .await
                        .unwrap();
                }
                sessions.get("s").await.unwrap().unwrap().visits
            })));
        }
        for call in calls {
            assert_eq!(call.await.unwrap(), 50);
        }
        let challenges = node.challenges("g0");
        let deadline = START + 60 * SECOND;
        for n in 0..2 {
            challenges.issue(challenge(id(n), deadline)).await.unwrap();
        }
        let waits: Vec<_> = (0..2)
            .map(|n| {
                let challenges = challenges.clone();
                tokio::spawn(async move { challenges.wait(&id(n), deadline + SECOND).await })
            })
            .collect();
        challenges.answer(&id(0), Answer::Deny, "p").await.unwrap();
        clock.advance(Duration::from_mins(1));
        let expected = [Status::Denied, Status::Expired];
        for (wait, expected) in waits.into_iter().zip(expected) {
            assert_eq!(wait.await.unwrap().unwrap(), expected);
        }
        assert_eq!(node.counters().supervisors, 16);
    });
}
