use std::collections::HashMap;

use futures_util::{FutureExt, StreamExt};
use rand::RngExt;
use ueauth_actors::{
    Answer, ChallengeId, Change, ConsumeError, Journal, JournalError, Outcome, State, Status,
};

use crate::world::{SECOND, START, World, challenge, id, issued, run};

#[test]
fn expires_at_its_deadline_and_not_before() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let mut notices = world.notices().await;
        let id = issued(&challenges, &world, 60).await;
        let deadline = world.now() + 60 * SECOND;
        assert_eq!(notices.next().await.unwrap().change, Change::Created);

        world.until(deadline - 1).await;
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Pending);
        assert!(notices.next().now_or_never().is_none());

        let notice = notices.next().await.unwrap();
        assert_eq!(notice.change, Change::Expired);
        assert_eq!(&*notice.id, id.to_record_id());
        assert_eq!(world.now(), deadline);
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Expired);
        let stored = world
            .challenges
            .load("g", &id.to_record_id())
            .await
            .unwrap();
        assert_eq!(stored.unwrap().value.state, State::Expired);
        assert_eq!(node.counters().pending_challenges, 0);
    });
}

#[test]
fn ten_thousand_expire_in_order() {
    run(async {
        const COUNT: usize = 10_000;
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let mut notices = world.notices().await;
        let mut random = rand::rng();
        let mut deadlines = HashMap::new();
        for n in 0..COUNT {
            let deadline = START + random.random_range(1_000 * SECOND..9_000 * SECOND);
            deadlines.insert(id(n).to_record_id(), deadline);
            challenges.issue(challenge(id(n), deadline)).await.unwrap();
            assert_eq!(notices.next().await.unwrap().change, Change::Created);
        }
        assert_eq!(node.counters().pending_challenges, COUNT);
        let mut last = 0;
        for _ in 0..COUNT {
            let notice = notices.next().await.unwrap();
            assert_eq!(notice.change, Change::Expired);
            let deadline = deadlines.remove(&*notice.id).expect("each once");
            assert_eq!(world.now(), deadline);
            assert!(last <= deadline);
            last = deadline;
        }
        assert_eq!(node.counters().pending_challenges, 0);
    });
}

#[test]
fn a_wait_ends_on_answer_denial_expiry_and_deadline() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        for (answer, expected) in [
            (Some(Answer::Approve), Status::Approved),
            (Some(Answer::Deny), Status::Denied),
            (None, Status::Expired),
        ] {
            let id = ChallengeId::new("k", "a", format!("{answer:?}"));
            let deadline = world.now() + 60 * SECOND;
            challenges
                .issue(challenge(id.clone(), deadline))
                .await
                .unwrap();
            let waits: Vec<_> = (0..3)
                .map(|_| {
                    let (challenges, id) = (challenges.clone(), id.clone());
                    tokio::spawn(async move { challenges.wait(&id, deadline + SECOND).await })
                })
                .collect();
            world.settle().await;
            assert_eq!(node.counters().waiters, 3);
            let at = if let Some(answer) = answer {
                let outcome = challenges.answer(&id, answer, "phone").await.unwrap();
                assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
                world.now()
            } else {
                deadline
            };
            for wait in waits {
                assert_eq!(wait.await.unwrap().unwrap(), expected);
            }
            assert_eq!(world.now(), at);
            assert_eq!(node.counters().waiters, 0);
            // There is nothing left to wait for.
            let again = challenges.wait(&id, deadline + 600 * SECOND).await;
            assert_eq!(again.unwrap(), expected);
            assert_eq!(world.now(), at);
        }

        let id = issued(&challenges, &world, 60).await;
        let until = world.now() + 30 * SECOND;
        let status = challenges.wait(&id, until).await.unwrap();
        assert_eq!((status, world.now()), (Status::Pending, until));
        assert_eq!(node.counters().waiters, 0);
        let unknown = ChallengeId::new("never", "issued", "this");
        let status = challenges.wait(&unknown, until + 30 * SECOND).await;
        assert_eq!((status.unwrap(), world.now()), (Status::Unknown, until));
    });
}

#[test]
fn a_wait_until_the_deadline_sees_the_expiry() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let until = world.now() + 60 * SECOND;
        let status = challenges.wait(&id, until).await.unwrap();
        assert_eq!((status, world.now()), (Status::Expired, until));
    });
}

#[test]
fn a_subscription_gets_one_result_before_or_after() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let mut before = challenges.subscribe(&id).await.unwrap();
        assert_eq!(node.counters().subscriptions, 1);
        assert!(before.next().now_or_never().is_none());
        challenges.answer(&id, Answer::Deny, "phone").await.unwrap();
        assert_eq!(before.next().await.unwrap().unwrap(), Status::Denied);
        assert!(before.next().await.is_none());
        let after: Vec<_> = challenges.subscribe(&id).await.unwrap().collect().await;
        assert_eq!(after.len(), 1);
        assert_eq!(*after[0].as_ref().unwrap(), Status::Denied);
        assert_eq!(node.counters().subscriptions, 0);
    });
}

#[test]
fn callers_that_leave_are_forgotten() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let until = world.now() + 30 * SECOND;
        let subscription = challenges.subscribe(&id).await.unwrap();
        let wait = {
            let (challenges, id) = (challenges.clone(), id.clone());
            tokio::spawn(async move { challenges.wait(&id, until).await })
        };
        world.settle().await;
        let counters = node.counters();
        assert_eq!((counters.waiters, counters.subscriptions), (1, 1));
        wait.abort();
        drop(subscription);
        world.settle().await;
        let counters = node.counters();
        assert_eq!((counters.waiters, counters.subscriptions), (0, 0));

        // One that leaves while the keeper still reads the journal.
        let other = ChallengeId::new("other", "a", "u");
        world.challenges.hold();
        let wait = {
            let challenges = challenges.clone();
            tokio::spawn(async move { challenges.wait(&other, until).await })
        };
        world.settle().await;
        wait.abort();
        world.settle().await;
        world.challenges.release();
        world.settle().await;
        assert_eq!(node.counters().waiters, 0);
    });
}

#[test]
fn only_the_first_answer_counts() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let outcome = challenges.answer(&id, Answer::Approve, "phone").await;
        let Outcome::Applied(challenge) = outcome.unwrap() else {
            panic!("not applied")
        };
        assert_eq!(challenge.state, State::Approved);
        assert_eq!(challenge.decided_by.as_deref(), Some("phone"));
        assert_eq!(challenge.decided_at, Some(world.now()));
        assert_eq!(challenge.data["event"], "none");
        let outcome = challenges.answer(&id, Answer::Deny, "other").await.unwrap();
        assert!(matches!(outcome, Outcome::AlreadyDecided(Status::Approved)));
        let outcome = challenges
            .answer(&ChallengeId::new("x", "y", "z"), Answer::Deny, "other")
            .await;
        assert!(matches!(outcome.unwrap(), Outcome::Unknown));
    });
}

#[test]
fn an_answer_at_the_deadline_is_too_late() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        let deadline = world.now() + 60 * SECOND;
        // The expiry cannot be written down, yet it holds.
        world.until(deadline - 1).await;
        world.challenges.hold();
        world.until(deadline).await;
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Expired);
        let answer = {
            let (challenges, id) = (challenges.clone(), id.clone());
            tokio::spawn(async move { challenges.answer(&id, Answer::Approve, "phone").await })
        };
        world.settle().await;
        world.challenges.release();
        let outcome = answer.await.unwrap().unwrap();
        assert!(
            matches!(outcome, Outcome::AlreadyDecided(Status::Expired)),
            "{outcome:?}"
        );
    });
}

#[test]
fn an_expiry_the_journal_refuses_is_tried_again() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let mut notices = world.notices().await;
        let id = issued(&challenges, &world, 60).await;
        let deadline = world.now() + 60 * SECOND;
        notices.next().await.unwrap();
        world.challenges.set_down(true);
        world.until(deadline + 10 * SECOND + 1).await;
        assert!(notices.next().now_or_never().is_none());
        world.challenges.set_down(false);
        assert_eq!(notices.next().await.unwrap().change, Change::Expired);
        assert!(world.now() <= deadline + 12 * SECOND);
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Expired);
    });
}

#[test]
fn an_approved_one_is_consumed_once_and_in_time() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let refused = |result: Result<_, ConsumeError>| match result {
            Err(ConsumeError::NotApproved(status)) => status,
            other => panic!("{other:?}"),
        };
        let id = issued(&challenges, &world, 60).await;
        let result = challenges.consume(&id).await.map(drop);
        assert_eq!(refused(result), Status::Pending);
        challenges.answer(&id, Answer::Approve, "p").await.unwrap();
        // Reading does not consume, and an approval outlives the time for answering.
        world.until(START + 600 * SECOND).await;
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Approved);
        let consumed = challenges.consume(&id).await.unwrap();
        assert_eq!(consumed.state, State::Approved);
        let result = challenges.consume(&id).await.map(drop);
        assert_eq!(refused(result), Status::Unknown);
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Unknown);
        assert!(world.challenges.memory.is_empty());

        let id = issued(&challenges, &world, 60).await;
        challenges.answer(&id, Answer::Approve, "p").await.unwrap();
        world.until(START + 1_200 * SECOND).await;
        assert_eq!(challenges.status(&id).await.unwrap(), Status::Unknown);
        let result = challenges.consume(&id).await.map(drop);
        assert_eq!(refused(result), Status::Unknown);
    });
}

#[test]
fn issuing_again_keeps_the_first() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let id = issued(&challenges, &world, 60).await;
        challenges.answer(&id, Answer::Deny, "p").await.unwrap();
        let again = challenge(id.clone(), world.now() + 600 * SECOND);
        let first = challenges.issue(again).await.unwrap();
        assert_eq!(first.state, State::Denied);
        // One that only nobody has purged yet does not count.
        world.until(START + 1_200 * SECOND).await;
        let second = challenges
            .issue(challenge(id, world.now() + 60 * SECOND))
            .await
            .unwrap();
        assert_eq!(second.state, State::Pending);
        assert_eq!(world.challenges.memory.len(), 1);
    });
}

#[test]
fn lists_what_an_account_has_not_answered() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        let ids: Vec<_> = (0..4)
            .map(|n| ChallengeId::new(format!("k{n}"), "ann", "u"))
            .collect();
        for (n, id) in (1..).zip(&ids) {
            let new = challenge(id.clone(), world.now() + n * 60 * SECOND);
            challenges.issue(new).await.unwrap();
        }
        challenges
            .issue(challenge(id(7), START + SECOND))
            .await
            .unwrap();
        challenges.answer(&ids[3], Answer::Deny, "p").await.unwrap();
        world.until(START + 61 * SECOND).await;
        let pending = challenges.pending_for("ann", "login").await.unwrap();
        let found: Vec<_> = pending.iter().map(|challenge| &challenge.id).collect();
        assert_eq!(found, [&ids[1], &ids[2]]);
        let other = challenges.pending_for("ann", "recovery").await.unwrap();
        assert!(other.is_empty());
    });
}

#[test]
fn too_many_pending_or_waiting_are_refused() {
    run(async {
        let world = World::new();
        let mut config = World::config();
        config.pending_challenges = 2;
        config.waiters = 1;
        let node = world.node_with(config).await;
        let challenges = node.challenges("g");
        let deadline = world.now() + 60 * SECOND;
        challenges.issue(challenge(id(0), deadline)).await.unwrap();
        challenges.issue(challenge(id(1), deadline)).await.unwrap();
        let refused = challenges.issue(challenge(id(2), deadline)).await;
        assert!(refused.unwrap_err().is_retryable());
        let first = challenges.subscribe(&id(0)).await.unwrap();
        assert!(challenges.subscribe(&id(1)).await.is_err());
        drop(first);
        world.settle().await;
        assert!(challenges.subscribe(&id(1)).await.is_ok());
    });
}

#[test]
fn a_failing_journal_is_reported() {
    run(async {
        let world = World::new();
        let node = world.node().await;
        let challenges = node.challenges("g");
        challenges.status(&id(0)).await.unwrap();
        world.challenges.set_down(true);
        let error = challenges.wait(&id(0), START + SECOND).await.unwrap_err();
        assert!(error.is_retryable());
        assert!(matches!(
            error,
            ueauth_actors::ActorError::Journal(JournalError::Unavailable(_))
        ));
        assert_eq!(node.counters().waiters, 0);
    });
}
